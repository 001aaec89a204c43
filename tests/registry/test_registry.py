"""lastword images against a real registry."""
import base64
import json
import os
import pathlib
import subprocess
import time

import pytest
import yaml
from registries import BASE, HANG, IMAGES, LASTWORD, Registry, Scripted, digest_of, docker_config, reply
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from cryptography.hazmat.primitives.serialization import Encoding



def entries(done):
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["images"]


def test_an_image_by_tag_and_by_digest(registry, images):
    pushed = registry.push_image("team/coder", "1.2", ["/bin/coder", "--x"], ["serve"])
    image = f"{registry.host}/team/coder:1.2"
    pinned = f"{registry.host}/team/coder@{pushed['digest']}"
    expected = {"entrypoint": ["/bin/coder", "--x"], "cmd": ["serve"]}
    assert entries(images(image)) == [{"image": image, **expected}]
    assert entries(images("--pin", "digest", image)) == [{"image": pinned, **expected}]
    assert entries(images(pinned)) == [{"image": pinned, **expected}]
    done = images("-o", "json", image)
    assert json.loads(done.stdout) == {"images": [{"image": image, **expected}]}


def test_the_entry_wraps_an_agent(registry, images, tmp_path):
    """The printed text stands in a configuration as it is, with words that YAML would misread."""
    words = ["/bin/run", "yes", "0x10", "a: b", "# no", "$(HOME)", "ü\n", "-", "null", "1e3"]
    registry.push_image("odd", "v1", words, ["on"])
    image = f"{registry.host}/odd:v1"
    printed = images(image).stdout
    config = tmp_path / "lastword.yaml"
    config.write_text(IMAGES.sub(lambda _: printed, BASE))
    pod = tmp_path / "pod.yaml"
    pod.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "agent", "namespace": "agents", "labels": {"cli-container": "main"}},
        "spec": {"containers": [{"name": "main", "image": image}]}}))
    done = subprocess.run([LASTWORD, "inject", "-c", config, "-f", pod, "-o", "json"],
                          capture_output=True, text=True, timeout=HANG)
    main = next(c for c in json.loads(done.stdout)["spec"]["containers"] if c["name"] == "main")
    wrapped = main["command"][main["command"].index("--") + 1:] + main.get("args", [])
    assert wrapped == [word.replace("$(", "$$(") for word in words] + ["on"], done.stderr


def test_an_index_picks_platforms(registry, images):
    def push(architecture, command, system="linux"):
        return registry.push_image("multi", None, command, platform=(system, architecture))
    same = {("linux", "amd64"): push("amd64", ["/a"]), ("linux", "arm64"): push("arm64", ["/a"]),
            ("windows", "amd64"): push("amd64", ["a.exe"], "windows"),
            ("unknown", "unknown"): push("unknown", ["/attestation"], "unknown")}
    index = registry.push_index("multi", "same", same)
    image = f"{registry.host}/multi:same"
    assert entries(images(image)) == [{"image": image, "entrypoint": ["/a"]}]
    assert entries(images("--pin", "digest", image))[0]["image"] == \
        f"{registry.host}/multi@{index['digest']}"
    assert entries(images("--platform", "windows/amd64", image))[0]["entrypoint"] == ["a.exe"]

    differs = {("linux", "amd64"): push("amd64", ["/a"]), ("linux", "arm64"): push("arm64", ["/b"])}
    registry.push_index("multi", "differs", differs)
    image = f"{registry.host}/multi:differs"
    done = images(image)
    assert (done.returncode, done.stdout) == (1, "")
    assert "differs from that on linux/amd64: choose with --platform" in done.stderr
    assert entries(images("--platform", "linux/arm64", image))[0]["entrypoint"] == ["/b"]
    done = images("--platform", "linux/s390x", image)
    assert done.returncode == 1 and "no manifest for linux/s390x" in done.stderr


def test_a_single_manifest_has_its_platform(registry, images):
    registry.push_image("single", "v1", ["/a"], platform=("linux", "arm64"))
    image = f"{registry.host}/single:v1"
    assert entries(images(image))
    done = images("--platform", "linux/amd64", image)
    assert done.returncode == 1 and "is for linux/arm64 only" in done.stderr


def test_several_images_and_some_that_fail(registry, images):
    registry.push_image("good", "v1", None, ["/only/cmd"])
    registry.push_image("empty", "v1")
    good, missing, empty = (f"{registry.host}/{name}:v1" for name in ("good", "missing", "empty"))
    done = images(good, missing, empty, "Not/An/IMAGE")
    assert yaml.safe_load(done.stdout)["images"] == [{"image": good, "cmd": ["/only/cmd"]}]
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) == 3
    assert all(line.startswith("lastword images: ") for line in lines)
    assert missing in lines[0] and "no such image" in lines[0]
    assert lines[1] == f"lastword images: {empty}: the image names no command"
    assert "Not/An/IMAGE: expected" in lines[2]


def test_user_and_password(tmp_path_factory, tls, images, tmp_path):
    folder = tmp_path_factory.mktemp("basic")
    # docker-registry takes bcrypt only; Python's standard library has no bcrypt, libxcrypt has.
    bcrypt = subprocess.run(
        ["perl", "-e", "print crypt('s3cret', '$2b$05$' . 'abcdefghijklmnopqrstuu')"],
        capture_output=True, text=True, check=True).stdout
    (folder / "htpasswd").write_text(f"robot:{bcrypt}\n")
    token = "Basic " + base64.b64encode(b"robot:s3cret").decode()
    running = Registry(folder, tls, {"htpasswd": {"realm": "r", "path": str(folder / "htpasswd")}},
                       lambda: token)
    try:
        running.push_image("private/coder", "v1", ["/bin/coder"])
        image = f"{running.host}/private/coder:v1"
        done = images(image)
        assert done.returncode == 1 and "wants a user and a password" in done.stderr
        docker_config(tmp_path, running.host, user="robot", password="s3cret")
        assert entries(images(image)) == [{"image": image, "entrypoint": ["/bin/coder"]}]
        docker_config(tmp_path, f"https://{running.host}/v1/", username="robot", password="s3cret")
        assert entries(images(image))
        docker_config(tmp_path, running.host, user="robot", password="wr0ng")
        done = images(image)
        assert done.returncode == 1 and "wants other credentials" in done.stderr
        assert "wr0ng" not in done.stderr and "s3cret" not in done.stderr
    finally:
        running.stop()


def jwt(key, certificate, audience, access):
    """A token as docker-registry's own token authentication checks it (ES256, x5c)."""
    def part(value):
        text = json.dumps(value).encode() if isinstance(value, dict) else value
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    now = int(time.time())
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
    signed = ".".join((part({"typ": "JWT", "alg": "ES256", "x5c": [der]}),
                       part({"iss": "tokens", "sub": "", "aud": audience, "exp": now + 300,
                             "nbf": now - 10, "iat": now, "jti": "1", "access": access})))
    r, s = utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return signed + "." + part(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@pytest.fixture
def tokens(tls, tmp_path_factory):
    """A registry whose tokens another server gives out, for a user or for an identity token."""
    key = load_pem_private_key(tls.key.read_bytes(), None)
    certificate = load_pem_x509_certificate(tls.chain.read_bytes())
    access = [{"type": "repository", "name": "private/coder", "actions": ["pull", "push"]}]
    token = jwt(key, certificate, "the-registry", access)
    server = Scripted(tls)
    good = "Basic " + base64.b64encode(b"robot:s3cret").decode()

    def give_out(handler):
        exchanged = "refresh_token=the%2Bidentity" in handler.form
        if handler.headers.get("Authorization") != good and not exchanged:
            return reply(401)(handler)
        name = "access_token" if exchanged else "token"
        return reply(200, json.dumps({name: token, "expires_in": 300}).encode())(handler)

    server.responses["/token"] = give_out
    folder = tmp_path_factory.mktemp("tokens")
    running = Registry(folder, tls, {"token": {
        "realm": f"https://{server.host}/token", "service": "the-registry", "issuer": "tokens",
        "rootcertbundle": str(tls.chain)}}, lambda: f"Bearer {token}")
    running.push_image("private/coder", "v1", ["/bin/coder"])
    yield running, server
    running.stop()
    server.stop()


def test_bearer_tokens(tokens, images, tmp_path):
    running, server = tokens
    image = f"{running.host}/private/coder:v1"
    done = images(image)
    assert done.returncode == 1 and "the credentials are not accepted" in done.stderr
    docker_config(tmp_path, running.host, user="robot", password="s3cret")
    assert entries(images(image)) == [{"image": image, "entrypoint": ["/bin/coder"]}]
    method, path, _ = server.seen[-1]
    assert method == "GET" and "scope=repository%3Aprivate%2Fcoder%3Apull" in path
    assert "service=the-registry" in path
    docker_config(tmp_path, running.host, identitytoken="the+identity")
    assert entries(images(image))
    assert server.seen[-1][0] == "POST"


def test_credential_helpers_are_named(registry, images, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {registry.host: "vault"}}))
    done = images(f"{registry.host}/team/coder:1.2")
    assert done.returncode == 1 and "docker-credential-vault" in done.stderr
    (tmp_path / "config.json").write_text("{")
    done = images(f"{registry.host}/team/coder:1.2")
    assert done.returncode == 1 and str(tmp_path / "config.json") in done.stderr


# ---- Registries that misbehave ----

CONFIG = json.dumps({"os": "linux", "architecture": "amd64",
                     "config": {"Entrypoint": ["/bin/a"]}}).encode()
MANIFEST = json.dumps({"schemaVersion": 2, "config": {"digest": digest_of(CONFIG)}}).encode()


def serve(scripted, manifest=MANIFEST, config=CONFIG):
    scripted.responses["/v2/a/b/manifests/v1"] = reply(200, manifest)
    scripted.responses[f"/v2/a/b/blobs/{digest_of(CONFIG)}"] = reply(200, config)
    return f"{scripted.host}/a/b:v1"


def failure(done):
    assert (done.returncode, done.stdout) == (1, ""), done
    return done.stderr


def test_content_that_is_not_what_its_digest_says(scripted, images):
    image = serve(scripted, config=CONFIG.replace(b"/bin/a", b"/bin/b"))
    assert "the content has the digest" in failure(images(image))
    serve(scripted)
    assert entries(images(image))
    wrong = f"{scripted.host}/a/b@{digest_of(b'other')}"
    scripted.responses[f"/v2/a/b/manifests/{digest_of(b'other')}"] = reply(200, MANIFEST)
    assert "the content has the digest" in failure(images(wrong))


@pytest.mark.parametrize("manifest, message", [
    (b"", "manifest v1"), (b"[]", "expected a JSON object"), (b"{}", "image index or manifest"),
    (b'{"config":{"digest":"sha256:x"}}', "is no digest"),
    (b'{"manifests":[{"platform":{"os":"linux","architecture":"amd64"},"digest":"../.."}]}',
     "is no digest"),
    (b'{"manifests":[]}', "no manifest for linux/amd64"),
    (b'{"config":{},"config":{}}', "manifest v1"),
])
def test_documents_that_are_no_manifests(scripted, images, manifest, message):
    assert message in failure(images(serve(scripted, manifest)))


def test_an_index_in_an_index_is_refused(scripted, images):
    inner = b'{"manifests":[]}'
    outer = json.dumps({"manifests": [{"platform": {"os": "linux", "architecture": "amd64"},
                                       "digest": digest_of(inner)}]}).encode()
    image = serve(scripted, outer)
    scripted.responses[f"/v2/a/b/manifests/{digest_of(inner)}"] = reply(200, inner)
    assert "found another index" in failure(images(image))


def test_a_blob_elsewhere_gets_no_credentials(scripted, tls, images, tmp_path):
    storage = Scripted(tls)
    try:
        image = serve(scripted)
        place = f"https://127.0.0.1:{storage.server.server_port}/blob"
        where = place.replace("127.0.0.1", "localhost")
        scripted.responses[f"/v2/a/b/blobs/{digest_of(CONFIG)}"] = reply(307, Location=where)
        scripted.responses["/v2/a/b/manifests/v1"] = lambda handler: (
            reply(200, MANIFEST) if handler.headers.get("Authorization")
            else reply(401, WWW_Authenticate='Basic realm="r"'))(handler)
        storage.responses["/blob"] = reply(200, CONFIG)
        docker_config(tmp_path, scripted.host, user="robot", password="s3cret")
        assert entries(images(image))[0]["entrypoint"] == ["/bin/a"]
        assert storage.seen == [("GET", "/blob", None)]
        assert scripted.seen[-1][2] is not None
    finally:
        storage.stop()


def test_redirects_end_and_stay_with_https(scripted, images):
    image = serve(scripted)
    loop = f"https://{scripted.host}/v2/a/b/manifests/v1"
    scripted.responses["/v2/a/b/manifests/v1"] = reply(302, Location=loop)
    assert "redirects" in failure(images(image))
    scripted.responses["/v2/a/b/manifests/v1"] = reply(302, Location="http://localhost:1/")
    assert "http" in failure(images(image))


@pytest.mark.parametrize("header, message", [
    (None, "does not say which"), ("Digest realm=x", "another authentication"),
    ('Bearer realm="http://localhost/token"', "expected an https URL"),
    ('Bearer realm="https://localhost/' + "x" * 600 + '"', "another authentication"),
    ('Bearer realm="https://localhost', "another authentication"),
])
def test_challenges_that_are_not_taken(scripted, images, header, message):
    image = serve(scripted)
    headers = {} if header is None else {"WWW_Authenticate": header}
    scripted.responses["/v2/a/b/manifests/v1"] = reply(401, **headers)
    assert message in failure(images(image))


def test_a_registry_that_does_not_respond(scripted, images):
    image = serve(scripted)

    def stall(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.wfile.flush()
        time.sleep(HANG)

    scripted.responses["/v2/a/b/manifests/v1"] = stall
    assert "no byte for too long" in failure(images(image))


def test_an_endless_document(scripted, images):
    image = serve(scripted)

    def flood(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b" " * 65536)
        except OSError:
            pass

    scripted.responses["/v2/a/b/manifests/v1"] = flood
    assert "expected at most 4194304 bytes" in failure(images(image))


def test_a_certificate_that_is_not_trusted(scripted, tmp_path):
    image = serve(scripted)
    done = subprocess.run([LASTWORD, "images", "--docker-config", tmp_path, image],
                          capture_output=True, text=True, timeout=HANG,
                          env={**os.environ, "HOME": "/nonexistent"})
    assert done.returncode == 1
    (pathlib.Path(tmp_path) / "config.json").write_text("{}")
    done = subprocess.run([LASTWORD, "images", "--docker-config", tmp_path, image],
                          capture_output=True, text=True, timeout=HANG)
    assert "certificate" in failure(done)


@pytest.mark.parametrize("arguments", [
    [], ["--pin", "x", "a"], ["-o", "table", "a"], ["--platform", "linux", "a"],
    ["--ca-file", "/nonexistent", "a"], ["--nothing"],
])
def test_usage(arguments):
    done = subprocess.run([LASTWORD, "images", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr
