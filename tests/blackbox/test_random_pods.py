"""Thousands of random valid pods: the patch applies, everything that was there is kept, the pod is
valid, and a second pass has nothing to do. LASTWORD_PODS sets their number, LASTWORD_SEED the seed
(which is in every failure's message)."""
import base64
import copy
import json
import os
import pathlib
import random

import jsonpatch

from invariants import check_injection
from random_pods import Maker
from webhook_process import BUILD

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
CONFIG = (DATA / "config/reviews.yaml").read_text().replace("  mode: MODE\n", """\
  mode: MODE
  imagePullSecrets: [registry]
  skipAnnotations: [eks.amazonaws.com/skip-containers, azure.workload.identity/skip-containers]
""")
PODS = int(os.environ.get("LASTWORD_PODS", "500" if "asan" in BUILD.parts else "3000"))
SEED = int(os.environ.get("LASTWORD_SEED", "20260101"))
REVIEW = json.loads((DATA / "reviews/019-create-pods-bare.json").read_text())


def patch_for(server, pod):
    review = copy.deepcopy(REVIEW)
    review["request"]["object"] = pod
    status, _, body = server.post("/mutate", json.dumps(review).encode())
    assert status == 200
    response = json.loads(body)["response"]
    assert response["allowed"] is True
    decision = json.loads(response["auditAnnotations"]["decision"]) \
        if "auditAnnotations" in response else {}
    assert decision.get("reason") not in ("verification-failed", "malformed"), response
    return json.loads(base64.b64decode(response["patch"])) if "patch" in response else []


def test_random_pods(start_webhook):
    servers = [start_webhook(config=CONFIG.replace("MODE", mode)) for mode in ("classic", "native")]
    injected = 0
    for number in range(PODS):
        seed = SEED + number
        pod = Maker(random.Random(seed)).pod()
        server = servers[number % 2]
        try:
            patch = patch_for(server, pod)
            after = jsonpatch.JsonPatch(patch).apply(pod)
            check_injection(pod, after)
            assert patch_for(server, after) == []
            injected += bool(patch)
        except Exception as error:
            raise AssertionError(f"LASTWORD_SEED={seed} LASTWORD_PODS=1: {error!r}") from error
    assert injected > PODS / 2
