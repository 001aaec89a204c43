"""The webhook asks registries about images that pods name by digest (resolveImages)."""
import base64
import json
import time

import pytest
from registries import BASE, HANG, docker_config, digest_of, reply
from test_registry import CONFIG, MANIFEST
from waiting import wait_until
from webhook_process import Webhook


def review(image, namespace="agents"):
    return json.dumps({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "CREATE", "namespace": namespace,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {"apiVersion": "v1", "kind": "Pod",
                       "metadata": {"name": "a", "labels": {"cli-container": "main"}},
                       "spec": {"containers": [{"name": "main", "image": image}]}}}})


def wrapped_command(webhook, image):
    """What follows "--" in the command that the patch sets; None: it sets none."""
    status, _, body = webhook.post("/mutate", review(image))
    assert status == 200
    response = json.loads(body)["response"]
    assert response["allowed"] is True
    patch = json.loads(base64.b64decode(response.get("patch", "W10=")))
    for operation in patch:
        if operation["path"] == "/spec/containers/0/command":
            return operation["value"][operation["value"].index("--") + 1:]
    return None


@pytest.fixture
def webhook(tmp_path, tls):
    """Starts the webhook; it may ask about images that match the patterns."""
    running = []

    def start(*patterns):
        if not (tmp_path / "config.json").exists():
            (tmp_path / "config.json").write_text("{}")
        folder = tmp_path / "webhook"
        folder.mkdir()
        running.append(Webhook(
            folder, BASE.replace("resolveImages: []", f"resolveImages: {json.dumps(patterns)}"),
            arguments=["--registry-ca-file", tls.chain,
                       "--registry-docker-config", tmp_path / "config.json"]))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def test_an_image_by_digest_is_wrapped_once_it_is_known(registry, webhook):
    pushed = registry.push_image("team/agent", "v1", ["/bin/agent"], ["serve"])
    image = f"{registry.host}/team/agent@{pushed['digest']}"
    server = webhook(f"{registry.host}/team/*")
    wrapped_command(server, image)
    wait_until(lambda: wrapped_command(server, image), "the image to be known")
    assert wrapped_command(server, image) == ["/bin/agent", "serve"]
    assert server.metric('lastword_image_resolutions_total{result="success"}') == 1
    assert [line["image"] for line in server.lines("the image's command is known")] == [image]


def test_what_may_not_be_requested_is_not(scripted, webhook):
    """No tag, no image that no pattern matches: nobody can make the webhook talk to a host."""
    server = webhook(f"{scripted.host}/team/*")
    for image in (f"{scripted.host}/team/a:v1", f"{scripted.host}/other/a@{digest_of(b'x')}",
                  f"{scripted.host}/team/a@sha256:12"):
        assert wrapped_command(server, image) is None
    allowed = f"{scripted.host}/team/a@{digest_of(b'y')}"
    assert wrapped_command(server, allowed) is None
    wait_until(lambda: server.metric('lastword_image_resolutions_total{result="failure"}') == 1,
               "the allowed one to fail")
    assert {path for _, path, _ in scripted.seen} == {f"/v2/team/a/manifests/{digest_of(b'y')}"}


def test_a_registry_that_stalls_delays_no_review(scripted, webhook):
    def stall(handler):
        time.sleep(HANG)

    image = f"{scripted.host}/team/a@{digest_of(MANIFEST)}"
    scripted.responses[f"/v2/team/a/manifests/{digest_of(MANIFEST)}"] = stall
    server = webhook("*")
    wrapped_command(server, image)
    wait_until(lambda: scripted.seen, "the registry to be asked")
    for _ in range(50):
        assert wrapped_command(server, image) is None  # each within the client's bound on hanging
    # The fixture's stop() shows that the program ends while the registry stalls.


def test_credentials_are_read_when_they_are_needed(scripted, webhook, tmp_path):
    digest = digest_of(MANIFEST)
    good = "Basic " + base64.b64encode(b"robot:s3cret").decode()

    def guarded(body):
        def respond(handler):
            ok = handler.headers.get("Authorization") == good
            (reply(200, body) if ok else reply(401, WWW_Authenticate="Basic realm=x"))(handler)
        return respond

    scripted.responses[f"/v2/team/a/manifests/{digest}"] = guarded(MANIFEST)
    scripted.responses[f"/v2/team/a/blobs/{digest_of(CONFIG)}"] = guarded(CONFIG)
    server = webhook("*")
    docker_config(tmp_path, scripted.host, user="robot", password="s3cret")
    image = f"{scripted.host}/team/a@{digest}"
    wrapped_command(server, image)
    wait_until(lambda: wrapped_command(server, image), "the image to be known")
    assert wrapped_command(server, image) == ["/bin/a"]
    assert "s3cret" not in server.log_file.read_text()
