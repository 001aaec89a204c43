"""lastword is uninstalled while agents run."""
import agents
import drivers
import kube
import product
import waiting

import pytest


@pytest.mark.uninstalls
def test_agents_outlive_it(installed):
    driver = drivers.KubernetesDriver(installed)
    pod = driver.make(agents.pod(agents.container(agents.WAITING)))
    pod.wait_ready()
    waiting.wait_for_ring(pod.pid(kube.OUR_CONTAINER))
    product.uninstall(installed)
    for path in (product.CONFIGURATION, f"/api/v1/namespaces/{product.SYSTEM}",
                 "/apis/lastword.dev/v1alpha1"):
        kube.wait_until(lambda: installed.find(path) is None, f"{path} is gone")
    late = installed.create(f"/api/v1/namespaces/{drivers.INJECTED}/pods?dryRun=All",
                            agents.pod(agents.container("true")))
    assert late["spec"]["containers"][0]["command"] == ["sh", "-c", "true"]
    agents.die(pod.pid())
    assert pod.wait_line("end")["exit_code"] == 5
    assert pod.wait_end() == (5, "Error")
    driver.clean()
