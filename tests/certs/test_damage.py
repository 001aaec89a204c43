"""What people and tools do to the Secret and the configuration: the replicas repair it and log why.
All the while a client that trusts only what is in the caBundle dials both replicas: it never
notices damage to the Secret."""
import base64
import copy
import subprocess
import threading

import pytest
from cryptography.hazmat.primitives import hashes

from api_server import CONFIGURATION, EVENTS, SECRET, SECRETS, configuration
from pki import NAMES, SelfSigned, key_of, load, public_bytes
from replica import LONG
from waiting import wait_until

WROTE = ("certificates: wrote the Secret", "certificates: created a new CA",
         "certificates: wrote the caBundles")


def encode(text):
    return base64.b64encode(text.encode()).decode()


def set_data(secret, **values):
    """set_data(secret, ca_crt=TEXT): ca.crt"""
    for key, value in values.items():
        secret["data"][key.replace("_", ".")] = encode(value)


@pytest.fixture(scope="module")
def pair(shared_cluster):
    shared_cluster.api.put(CONFIGURATION, configuration())
    return shared_cluster, [shared_cluster.start(*LONG, "--propagation-delay", "300ms").wait_ready()
                            for _ in range(2)]


class Dialer(threading.Thread):
    def __init__(self, api, replicas):
        super().__init__()
        self.api, self.replicas = api, replicas
        self.failures, self.stopping, self.count = [], threading.Event(), 0

    def run(self):
        while not self.stopping.wait(0.005):
            bundle = self.api.bundle()
            for replica in self.replicas:
                try:
                    replica.dial(bundle).close()
                    self.count += 1
                except OSError as failure:
                    self.failures.append(repr(failure))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()


def is_healthy(api, replicas, tmp_path):
    """No change of the CA is under way either: the CA with the key is the serving CA."""
    secret = api.get(SECRET)
    annotations = ((secret or {}).get("metadata") or {}).get("annotations") or {}
    signers = [certificate for certificate in load(api.data("ca.crt"))
               if public_bytes(certificate) == key_of(api.data("ca.key"))]
    if len(signers) != 1 or annotations.get("lastword.dev/serving-ca") != \
            signers[0].fingerprint(hashes.SHA256()).hex():
        return False
    cas, leafs = load(api.data("ca.crt")), load(api.data("tls.crt"))
    if len(leafs) != 1 or not cas or any(load(api.bundle(i)) != cas for i in (0, 1)):
        return False
    if any(replica.served() != leafs[0] or replica.ready()[0] != 200 for replica in replicas):
        return False
    (tmp_path / "ca").write_text(api.data("ca.crt"))
    (tmp_path / "leaf").write_text(api.data("tls.crt"))
    return all(subprocess.run(["openssl", "verify", "-CAfile", tmp_path / "ca", "-no-CApath",
                               "-verify_hostname", name, tmp_path / "leaf"],
                              capture_output=True).returncode == 0 for name in NAMES[:1])


def delete_secret(api):
    api.put(SECRET, None)


def empty_secret(api):
    api.change(SECRET, lambda s: s.update(data={"tls.crt": "", "tls.key": ""}))


def garble_cas(api):
    api.change(SECRET, lambda s: set_data(s, ca_crt=api.data("ca.crt")[:300] + "\n"))


def garble_base64(api):
    api.change(SECRET, lambda s: s["data"].update({"tls.key": "%%%"}))


def lose_key(api):
    api.change(SECRET, lambda s: s["data"].pop("ca.key"))


def foreign_key(api):
    api.change(SECRET, lambda s: set_data(s, ca_key=SelfSigned("x").key))


def half_written(api):
    """tls.crt of a new pair, tls.key of the old one."""
    ours = SelfSigned("x", names=NAMES)
    api.change(SECRET, lambda s: set_data(s, tls_crt=ours.chain))


def expired_leaf(api):
    ca = SelfSigned("ca")
    leaf = SelfSigned("x", False, ca, NAMES, start=-7200, end=-3600)
    api.change(SECRET, lambda s: set_data(s, tls_crt=leaf.chain, tls_key=leaf.key))


def lost_annotations(api):
    api.change(SECRET, lambda s: s["metadata"].pop("annotations"))


def ca_by_hand(api):
    ca = SelfSigned("by hand", use_rsa=True)
    api.change(SECRET, lambda s: set_data(s, ca_crt=ca.chain, ca_key=ca.key))


def all_by_hand(api):
    """A pair that would do, but that no API server trusts yet."""
    ca = SelfSigned("by hand")
    leaf = SelfSigned("x", False, ca, NAMES)
    api.change(SECRET, lambda s: set_data(s, ca_crt=ca.chain, ca_key=ca.key,
                                          tls_crt=leaf.chain, tls_key=leaf.key))


def ca_expired(api):
    ca = SelfSigned("by hand", start=-7200, end=-3600)
    api.change(SECRET, lambda s: set_data(s, ca_crt=ca.chain, ca_key=ca.key))


@pytest.mark.parametrize("damage,reason", [
    (delete_secret, "the Secret does not exist"),
    (empty_secret, "the Secret has no CA with its key"),
    (garble_cas, "ca.crt has something that is not a certificate"),
    (garble_base64, "the Secret has no certificate for the Service's names with its key"),
    (lose_key, "the Secret has no CA with its key"),
    (foreign_key, "the Secret has no CA with its key"),
    (half_written, "the Secret has no certificate for the Service's names with its key"),
    (expired_leaf, "the certificate was not issued by the CA"),
    (lost_annotations, None),  # by then there may be several CAs: one is published again
    (ca_by_hand, "every API server trusts the new CA"),
    (all_by_hand, "every API server trusts the new CA"),
    (ca_expired, "the CA has expired")])
def test_secret(pair, tmp_path, damage, reason):
    cluster, replicas = pair
    api = cluster.api
    wait_until(lambda: is_healthy(api, replicas, tmp_path), "health before")
    seen = [len(replica.lines()) for replica in replicas]
    with Dialer(api, replicas) as dialer:
        version = api.version
        damage(api)
        wait_until(lambda: api.version > version + 1 and is_healthy(api, replicas, tmp_path),
                   "the repair")
    assert dialer.failures == [] and dialer.count > 0

    def reasons():
        return [line["reason"] for replica, n in zip(replicas, seen)
                for line in replica.lines()[n:] if line["message"] in WROTE]
    # The damage may meet the change of the CA that repaired the previous damage: its last step
    # writes a whole Secret too.
    enough = {reason, "every API server trusts the new CA"}
    wait_until(lambda: reasons() if reason is None else enough & set(reasons()), "the log line")


def test_ca_by_hand_is_the_one_that_signs(pair, tmp_path):
    cluster, replicas = pair
    ca = SelfSigned("my own")
    cluster.api.change(SECRET, lambda s: set_data(s, ca_crt=ca.chain, ca_key=ca.key))
    wait_until(lambda: is_healthy(cluster.api, replicas, tmp_path) and
               load(cluster.api.data("tls.crt"))[0].issuer == ca.certificate.subject,
               "a certificate of it")


def bundle_empty(webhooks, api):
    for webhook in webhooks:
        del webhook["clientConfig"]["caBundle"]


def bundle_foreign(webhooks, api):
    webhooks[0]["clientConfig"]["caBundle"] = encode(SelfSigned("x").chain)


def bundle_added(webhooks, api):
    webhooks[1]["clientConfig"]["caBundle"] = encode(api.bundle() + SelfSigned("x").chain)


def bundle_garbled(webhooks, api):
    webhooks[0]["clientConfig"]["caBundle"] = "Cg=="


def webhook_added(webhooks, api):
    webhooks.append({**copy.deepcopy(webhooks[0]), "name": "more.lastword.dev"})
    webhooks[-1]["clientConfig"].pop("caBundle")


@pytest.mark.parametrize("damage", [bundle_empty, bundle_foreign, bundle_added, bundle_garbled,
                                    webhook_added])
def test_bundle(pair, tmp_path, damage):
    cluster, replicas = pair
    api = cluster.api
    wait_until(lambda: is_healthy(api, replicas, tmp_path), "health before")
    leaf = api.data("tls.crt")
    version = api.version
    api.change(CONFIGURATION, lambda c: damage(c["webhooks"], api))
    wait_until(lambda: api.version > version + 1 and is_healthy(api, replicas, tmp_path), "the repair")
    webhooks = api.get(CONFIGURATION)["webhooks"]
    assert all(load(api.bundle(i)) == load(api.data("ca.crt")) for i in range(len(webhooks)))
    assert api.data("tls.crt") == leaf  # the certificate was good all the time
    if damage is not bundle_foreign:
        assert load(api.data("ca.crt")) == load(api.bundle())


def test_configuration_applied_again(pair, tmp_path):
    cluster, replicas = pair
    cluster.api.put(CONFIGURATION, None)
    wait_until(lambda: all(r.ready()[0] == 503 for r in replicas), "the replicas to notice")
    cluster.api.put(CONFIGURATION, configuration())
    wait_until(lambda: is_healthy(cluster.api, replicas, tmp_path), "health")


FAULTS = ["drop", "garbage", (500, "InternalError"), (409, "Conflict"), (429, "TooManyRequests"),
          (403, "Forbidden")]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_every_request_fails_once(cluster, tmp_path, fault):
    """Each request of a first start (about seven) fails once, also in ways that leave open whether
    the API server carried it out."""
    api = cluster.api
    api.put(CONFIGURATION, configuration())
    hit = set()

    def fail_each_once(method, path, number):
        key = (method, path)
        if path == EVENTS or key in hit:
            return None
        hit.add(key)
        return fault
    api.fault = fail_each_once
    replica = cluster.start(*LONG, "--propagation-delay", "300ms")
    wait_until(lambda: is_healthy(api, [replica], tmp_path), "health")
    assert {("GET", SECRET), ("GET", CONFIGURATION), ("POST", SECRETS),
            ("PATCH", CONFIGURATION)} <= hit


def test_a_hanging_api_holds_up_nothing(cluster):
    """SIGTERM while a request hangs: it ends at once, not when the request does."""
    api = cluster.api
    api.put(CONFIGURATION, configuration())
    replica = cluster.start(*LONG, "--propagation-delay", "300ms").wait_ready()
    release = threading.Event()
    hanging = threading.Event()
    api.lock = threading.Lock()  # one that is held while it hangs: all requests wait

    def hang(method, path, number):
        hanging.set()
        release.wait(60)
    bundle = api.bundle()
    api.fault = hang
    assert hanging.wait(60)
    with replica.dial(bundle) as tls:
        assert tls.version()
    assert replica.ready() == (200, "ok\n")
    replica.stop()  # insists on status 0
    assert not release.is_set()
    release.set()
