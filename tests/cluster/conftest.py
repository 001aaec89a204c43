"""The fixtures of the scenarios: the cluster that `cluster.py run` started around this process, or the
one of KUBECONFIG, with the product installed from its manifests."""
import os
import pathlib

import pytest

pytest.register_assert_rewrite("drivers", "kube", "product")

import drivers  # noqa: E402
import kube  # noqa: E402
import product  # noqa: E402

NODE = os.environ.get("LASTWORD_NODE")
# It needs a server that pods reach, which only our own node has.
collect_ignore = [] if NODE else ["test_story.py"]
FIGURES = product.ROOT / "build/test-logs/cluster-figures.txt"


def kubeconfig():
    return f"{NODE}/pki/admin.conf" if NODE else os.environ["KUBECONFIG"]


@pytest.fixture(scope="session")
def images():
    if NODE:
        product.import_images()


@pytest.fixture(scope="session")
def cluster(images):
    """The bare cluster."""
    found = kube.Cluster(kubeconfig())
    yield found
    found.close()


@pytest.fixture(scope="session")
def installed(cluster):
    """The product, and an opted-in and a plain namespace. First with an admin's own certificate, then
    with those that it makes itself: the scenarios' way. Afterwards nothing of it is
    left, and before nothing of a run that was cut off."""
    leave_nothing(cluster)
    product.install_with_files(cluster)
    cluster.make_namespace(drivers.INJECTED, {"lastword.dev/inject": "enabled"})
    cluster.make_namespace(drivers.PLAIN)
    product.wait_injecting(cluster, drivers.INJECTED)
    product.install_self_signed(cluster)
    product.wait_injecting(cluster, drivers.INJECTED)
    yield cluster
    leave_nothing(cluster)


def leave_nothing(cluster):
    product.uninstall(cluster)
    cluster.kubectl("delete", "namespace", "--ignore-not-found", drivers.INJECTED,
                    drivers.PLAIN)


@pytest.fixture(scope="session")
def figures():
    """figures(text): printed at the end of the run, never judged."""
    FIGURES.parent.mkdir(parents=True, exist_ok=True)

    def add(text):
        with open(FIGURES, "a") as file:
            file.write(text + "\n")
    return add


def pytest_configure(config):
    assert product.INSTALL in ("kustomize", "chart"), f"LASTWORD_INSTALL={product.INSTALL}"
    config.addinivalue_line("markers", "kubernetes(major, minor): needs this version or newer")
    config.addinivalue_line("markers", "last: looks back at the other scenarios, so it runs after them")
    config.addinivalue_line("markers", "uninstalls: removes the product, so it runs after all others")


def pytest_collection_modifyitems(config, items):
    """Deselects tests that need a newer server than this one, and names them in the figures. What
    uninstalls the product comes last."""
    server = kube.Cluster(kubeconfig())
    server.close()
    FIGURES.unlink(missing_ok=True)
    keep, out = [], []
    for item in items:
        needs = item.get_closest_marker("kubernetes")
        fits = needs is None or server.version >= needs.args
        (keep if fits else out).append(item)
    items[:] = sorted(keep, key=lambda item: [item.get_closest_marker(name) is not None
                                              for name in ("uninstalls", "last")])
    config.hook.pytest_deselected(items=out)
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"Kubernetes {server.version_text}, installed by {product.INSTALL}"]
    lines += [f"needs a newer one: {item.name}" for item in out]
    FIGURES.write_text("".join(line + "\n" for line in lines))


def pytest_generate_tests(metafunc):
    if "driver" in metafunc.fixturenames:
        # cri_pod.py needs the containerd of our own node.
        drivers_of_node = ["kubernetes", "cri"] if NODE else ["kubernetes"]
        metafunc.parametrize("driver", drivers_of_node, indirect=True)


@pytest.fixture
def driver(request):
    if request.param == "kubernetes":
        installed = request.getfixturevalue("installed")
        made = drivers.KubernetesDriver(installed)
        # The scenario before may have disturbed the webhook, and failurePolicy is Ignore.
        product.wait_injecting(installed, drivers.INJECTED)
    else:
        request.getfixturevalue("images")
        made = drivers.CriDriver(product.BUILD / "bin/lastword",
                                  product.MANIFESTS / "base/config.yaml",
                                  pathlib.Path(NODE).name)
    yield made
    made.clean()
