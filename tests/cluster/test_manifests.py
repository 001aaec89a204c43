"""What people apply, judged by the API server: every overlay, install.yaml, and the chart with all of its
values."""
import pytest
import yaml

import cert_manager
import product
from manifests import CHART_VALUES, EVERY_VALUE

NEEDS_1_30 = pytest.mark.kubernetes(1, 30)  # ValidatingAdmissionPolicy
OVERLAYS = [pytest.param(name, marks=NEEDS_1_30) if name in ("overlays/hardened", "overlays/fail-pod")
            else name for name in CHART_VALUES]
OPERATOR = "monitoring.coreos.com"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest.fixture(scope="module")
def known(installed):
    """The API server knows the resources of others that overlays have, and the namespace of the demo."""
    for kind in ("PodMonitor", "PrometheusRule"):
        cert_manager.make_crd(installed, OPERATOR, kind, ANYTHING)
    installed.make_namespace("lastword-demo")
    with cert_manager.CertManager(installed):
        yield installed
    for kind in ("PodMonitor", "PrometheusRule"):
        cert_manager.delete_crd(installed, OPERATOR, kind)
    installed.delete("/api/v1/namespaces/lastword-demo")


def dry_run(cluster, text):
    """kubectl apply --dry-run=server; kubectl of before 1.21 does not know the CRD's newer fields."""
    old = ["--validate=false"] if cluster.version < (1, 21) else []
    if old:
        text = text.replace("apiVersion: policy/v1\n", "apiVersion: policy/v1beta1\n")
    out = cluster.kubectl("apply", "--dry-run=server", *old, "-f", "-", text=text)
    assert len(out.splitlines()) == len([one for one in yaml.safe_load_all(text) if one])


@pytest.mark.parametrize("overlay", [*OVERLAYS, "overlays/demo"])
def test_overlay(known, overlay):
    dry_run(known, product.render(known, overlay))


def test_install_yaml(known):
    dry_run(known, (product.MANIFESTS / "install.yaml").read_text())


@pytest.mark.parametrize("values", [{}, pytest.param(EVERY_VALUE, marks=NEEDS_1_30)],
                         ids=["default", "every value"])
def test_chart(known, values):
    dry_run(known, product.render_chart(known, values))
