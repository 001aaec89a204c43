"""The 52 recorded AdmissionReviews, replayed against the real server over TLS.

Each patch is applied with python-jsonpatch and the outcome compared with a document in
tests/data/expected/MODE/, which a person can read in a diff. LASTWORD_ACCEPT=1 writes the
documents instead: look at the diff before committing it."""
import base64
import copy
import json
import os
import pathlib

import jsonpatch
import pytest

from invariants import check_injection

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
REVIEWS = sorted((DATA / "reviews").glob("*.json"))
CONFIG = (DATA / "config/reviews.yaml").read_text()
UNCHANGED = {"not-an-agent", "opt-out", "bare", "ephemeralcontainers-prestop-exec"}


@pytest.fixture(scope="module", params=["classic", "native"])
def server(request, start_webhook):
    server = start_webhook(config=CONFIG.replace("MODE", request.param))
    server.mode = request.param
    return server


def respond(server, review):
    status, _, body = server.post("/mutate?timeout=5s", json.dumps(review).encode())
    assert status == 200, body
    content = json.loads(body)
    assert content["kind"] == "AdmissionReview"
    assert content["apiVersion"] == "admission.k8s.io/v1"
    response = content["response"]
    assert response["uid"] == review["request"]["uid"]
    assert response["allowed"] is True
    assert ("patch" in response) == (response.get("patchType") == "JSONPatch")
    return response


def patch_of(response):
    return json.loads(base64.b64decode(response["patch"])) if "patch" in response else []


def readable(pod, response):
    """What is compared: the outcome without what says nothing or differs from build to build."""
    pod = copy.deepcopy(pod)
    if pod:
        pod["metadata"].pop("managedFields", None)
        for key, value in pod["metadata"].get("annotations", {}).items():
            if key == "lastword.dev/status":
                record = json.loads(value)
                record["version"] = record["config"] = "…"
                pod["metadata"]["annotations"][key] = record
            elif len(value) > 1000:
                pod["metadata"]["annotations"][key] = f"… {len(value)} bytes …"
    decision = json.loads(response.get("auditAnnotations", {}).get("decision", "null"))
    if decision:
        decision["version"] = decision["config"] = "…"
    return {"decision": decision, "warnings": response.get("warnings", []), "pod": pod}


@pytest.mark.parametrize("path", REVIEWS, ids=lambda p: p.stem)
def test_outcome(server, path):
    review = json.loads(path.read_text())
    response = respond(server, review)
    before = review["request"]["object"]
    patch = patch_of(response)
    after = jsonpatch.JsonPatch(patch).apply(before) if before else before

    expected_path = DATA / "expected" / server.mode / path.name
    text = json.dumps(readable(after, response), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("LASTWORD_ACCEPT"):
        expected_path.parent.mkdir(parents=True, exist_ok=True)
        expected_path.write_text(text)
    assert text == expected_path.read_text()

    if before:
        check_injection(before, after)


@pytest.mark.parametrize("path", REVIEWS, ids=lambda p: p.stem)
def test_second_pass_has_nothing_to_do(server, path):
    review = json.loads(path.read_text())
    patch = patch_of(respond(server, review))
    if patch:
        review["request"]["object"] = jsonpatch.JsonPatch(patch).apply(review["request"]["object"])
    assert patch_of(respond(server, review)) == []


@pytest.mark.parametrize("path", REVIEWS, ids=lambda p: p.stem)
def test_left_alone(server, path):
    """What must come back unchanged does, and says so where a person should know."""
    review = json.loads(path.read_text())
    response = respond(server, review)
    case = path.stem.split("-pods-")[1]
    operation = review["request"]["operation"]
    if operation != "CREATE" or case in UNCHANGED - {"bare"}:
        assert "patch" not in response
        assert "warnings" not in response
    elif case in ("name-taken", "volume-taken"):
        assert "patch" not in response
        assert case in response["warnings"][0]
    elif case == "gitlab-runner":
        assert "patch" not in response  # its rule is in shadow mode
        assert json.loads(response["auditAnnotations"]["decision"])["outcome"] == "shadow"
    else:
        assert "patch" in response
