"""The sidecar's image: the configuration's, else that of --watchdog-image, else that of the release."""
import base64
import json
import subprocess

import pytest
import yaml

from waiting import wait_until
from webhook_process import BUILD, ROOT

MOVED = "registry.example.com:5000/mirror/watchdog@sha256:" + "a" * 64
REVIEW = (ROOT / "tests/data/reviews/001-create-pods-argo-determine-resume-point.json").read_bytes()
VERSION = subprocess.run([BUILD / "bin/lastword", "--version"], capture_output=True,
                         text=True).stdout.split()[-1]
RELEASED = f"ghcr.io/lastword/lastword-watchdog:{VERSION}"
NAMED = (ROOT / "tests/data/config/reviews.yaml").read_text().replace("MODE", "classic")
UNNAMED = NAMED.replace("  image: registry.example/lastword-watchdog:test\n", "")
CASES = [(NAMED, [], "registry.example/lastword-watchdog:test"),
         (NAMED, ["--watchdog-image", MOVED], "registry.example/lastword-watchdog:test"),
         (UNNAMED, ["--watchdog-image", MOVED], MOVED), (UNNAMED, [], RELEASED)]


def images(changes):
    """The images of the containers that the patch adds."""
    found = set()
    for change in changes:
        values = change.get("value")
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, dict) and value.get("name", "").startswith("lastword-"):
                found.add(value["image"])
    return found


def patch(webhook):
    status, _, body = webhook.post("/mutate?timeout=3s", REVIEW)
    assert status == 200
    return json.loads(base64.b64decode(json.loads(body)["response"]["patch"]))


@pytest.mark.parametrize("config,arguments,image", CASES)
def test_of_the_webhook(start_webhook, config, arguments, image):
    webhook = start_webhook(config=config, arguments=arguments)
    assert images(patch(webhook)) == {image}


def test_a_reload_keeps_the_flag(start_webhook):
    webhook = start_webhook(config=NAMED, arguments=["--watchdog-image", MOVED])
    webhook.config_file.write_text(UNNAMED)
    wait_until(lambda: len(webhook.lines("configuration in force")) > 0, "the reload")
    assert images(patch(webhook)) == {MOVED}


@pytest.mark.parametrize("config,arguments,image", CASES)
def test_of_the_command_line(tmp_path, config, arguments, image):
    (tmp_path / "config.yaml").write_text(config)
    done = subprocess.run([BUILD / "bin/lastword", "inject", "-c", tmp_path / "config.yaml", "-f", "-",
                           *arguments], input=REVIEW, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    pod = yaml.safe_load(done.stdout)
    pod = pod.get("request", {}).get("object", pod)
    ours = [one["image"] for one in pod["spec"]["containers"] + pod["spec"]["initContainers"]
            if one["name"].startswith("lastword-")]
    assert set(ours) == {image}


@pytest.mark.parametrize("value", ["", "$(WATCHDOG_IMAGE)", "a b", "a\nb"])
def test_what_is_no_image_is_refused(tmp_path, value):
    """The kubelet leaves $(NAME) as it stands where there is no such variable."""
    done = subprocess.run([BUILD / "bin/lastword-webhook", "--config", "x", "--tls-cert", "x",
                           "--tls-key", "x", "--watchdog-image", value], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2 and "--watchdog-image: expected an image" in done.stderr
