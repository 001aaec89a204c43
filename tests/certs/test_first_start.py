"""From nothing to a certificate that the API server accepts; OpenSSL and Python's cryptography
check it too."""
import datetime
import subprocess

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from api_server import CONFIGURATION, SECRET, SECRETS, configuration
from pki import NAMES, load
from replica import LONG
from waiting import wait_until
from webhook_process import BUILD, ROOT


@pytest.fixture(scope="module")
def started(shared_cluster):
    shared_cluster.api.put(CONFIGURATION, configuration())
    replica = shared_cluster.start(*LONG, "--propagation-delay", "2s").wait_ready()
    return shared_cluster.api, replica


def test_nothing_there(started):
    api, replica = started
    secret = api.get(SECRET)
    assert secret["type"] == "kubernetes.io/tls"
    assert set(secret["data"]) == {"tls.crt", "tls.key", "ca.crt", "ca.key"}
    ca, = load(api.data("ca.crt"))
    leaf, = load(api.data("tls.crt"))
    assert load(api.bundle(0)) == load(api.bundle(1)) == [ca]
    assert replica.served() == leaf
    with replica.dial(api.bundle()) as tls:
        assert tls.version() == "TLSv1.3"
    expiry = leaf.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp()
    assert replica.metric("lastword_certificate_expiry_timestamp_seconds") == expiry
    assert replica.metric('lastword_certificate_rotations_total{kind="certificate"}') == 1
    assert replica.metric('lastword_certificate_rotations_total{kind="ca"}') == 1


def test_nothing_else_is_touched(started):
    api, _ = started
    now = api.get(CONFIGURATION)
    for webhook in now["webhooks"]:
        del webhook["clientConfig"]["caBundle"]
    del now["metadata"]["resourceVersion"]
    assert now == configuration()


def test_keys_stay_where_they_belong(started):
    api, replica = started
    log = replica.log_file.read_text()
    for key in ("tls.key", "ca.key"):
        body = "".join(api.data(key).splitlines()[1:-1])
        assert len(body) > 100 and body[:40] not in log and body[-40:] not in log
    assert "PRIVATE" not in log and "the-token" not in log
    assert "PRIVATE" not in api.bundle()


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def test_profile(started):
    """What Go's crypto/x509 insists on: no common names, critical basic constraints, usages."""
    api, _ = started
    ca, = load(api.data("ca.crt"))
    leaf, = load(api.data("tls.crt"))
    for certificate, is_ca in ((ca, True), (leaf, False)):
        assert certificate.version == x509.Version.v3
        assert 0 < certificate.serial_number < 1 << 128
        assert certificate.serial_number > 1 << 64  # one in 2^64 would not be
        assert isinstance(certificate.public_key().curve, ec.SECP256R1)
        assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
        constraints = extension(certificate, x509.BasicConstraints)
        assert constraints.critical and constraints.value.ca == is_ca
        usage = extension(certificate, x509.KeyUsage)
        assert usage.critical
        assert (usage.value.key_cert_sign, usage.value.digital_signature) == \
            (is_ca, not is_ca)
        extension(certificate, x509.SubjectKeyIdentifier)
        now = datetime.datetime.utcnow()
        assert certificate.not_valid_before < now - datetime.timedelta(minutes=5)
    assert extension(leaf, x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName) == NAMES
    assert list(extension(leaf, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert extension(leaf, x509.AuthorityKeyIdentifier).value.key_identifier == \
        extension(ca, x509.SubjectKeyIdentifier).value.digest
    assert leaf.issuer == ca.subject and leaf.subject != ca.subject
    assert leaf.not_valid_after <= ca.not_valid_after


def test_openssl_takes_it_strictly(started, tmp_path):
    api, _ = started
    (tmp_path / "ca.crt").write_text(api.data("ca.crt"))
    (tmp_path / "tls.crt").write_text(api.data("tls.crt"))
    for name in NAMES:
        output = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslserver",
             "-verify_hostname", name, "-CAfile", tmp_path / "ca.crt", "-no-CApath",
             tmp_path / "tls.crt"], capture_output=True, text=True)
        assert output.returncode == 0, output.stdout + output.stderr
    assert subprocess.run(
        ["openssl", "verify", "-verify_hostname", "other.svc", "-CAfile", tmp_path / "ca.crt",
         tmp_path / "tls.crt"], capture_output=True).returncode != 0


def test_a_restart_changes_nothing(shared_cluster, started):
    api, first = started
    before = api.get(SECRET), api.get(CONFIGURATION)
    second = shared_cluster.start(*LONG, "--propagation-delay", "2s").wait_ready()
    assert second.served() == first.served()
    assert (api.get(SECRET), api.get(CONFIGURATION)) == before


def test_three_replicas_agree(cluster):
    cluster.api.put(CONFIGURATION, configuration())
    replicas = [cluster.start(*LONG, "--propagation-delay", "2s") for _ in range(3)]
    for replica in replicas:
        replica.wait_ready()
    posts = [status for method, path, status in cluster.api.requests
             if (method, path) == ("POST", SECRETS)]
    assert posts.count(201) == 1
    served = {replica.served().serial_number for replica in replicas}
    assert len(served) == 1 and len(load(cluster.api.bundle())) == 1


def test_the_shipped_secret_is_filled(cluster):
    """With the shipped manifests the account may not create Secrets, and need not."""
    shipped = yaml.safe_load((ROOT / "manifests/overlays/self-signed/secret.yaml").read_text())
    cluster.api.put(CONFIGURATION, configuration())
    cluster.api.put(SECRET, shipped)
    cluster.api.fault = lambda method, path, n: (403, "Forbidden") \
        if (method, path) == ("POST", SECRETS) else None
    replicas = [cluster.start(*LONG, "--propagation-delay", "300ms") for _ in range(2)]
    for replica in replicas:
        replica.wait_ready()
        assert not replica.lines("cannot reconcile the certificates; the one in use stays in use")
    secret = cluster.api.get(SECRET)
    assert secret["type"] == "Opaque" and secret["metadata"]["labels"] == shipped["metadata"]["labels"]
    assert set(secret["data"]) == {"tls.crt", "tls.key", "ca.crt", "ca.key"}


def test_other_content_of_the_secret_stays(cluster):
    cluster.api.put(CONFIGURATION, configuration())
    cluster.api.put(SECRET, {"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                             "metadata": {"name": "lastword-webhook-tls", "labels": {"a": "b"},
                                          "namespace": "lastword-system"},
                             "data": {"other": "eA=="}})
    cluster.start(*LONG, "--propagation-delay", "300ms").wait_ready()
    secret = cluster.api.get(SECRET)
    assert secret["data"]["other"] == "eA==" and secret["metadata"]["labels"] == {"a": "b"}
    assert not [r for r in cluster.api.requests if r[0] == "POST" and r[1] == SECRETS]


def test_a_configuration_that_comes_later(cluster):
    replica = cluster.start(*LONG, "--propagation-delay", "300ms")
    reason = "there is no webhook configuration to publish the CA in"
    wait_until(lambda: replica.ready()[1] ==
               f"the certificate's CA is not in every caBundle: {reason}\n", "the reason")
    cluster.api.put(CONFIGURATION, configuration())
    replica.wait_ready()
    assert load(cluster.api.bundle()) == load(cluster.api.data("ca.crt"))


@pytest.mark.parametrize("verb,path,says", [
    ("GET", CONFIGURATION, "status 403 Forbidden"), ("PATCH", CONFIGURATION, "status 403 Forbidden"),
    ("GET", SECRET, "status 403 Forbidden"), ("POST", SECRETS, "status 403 Forbidden")])
def test_without_permission(cluster, verb, path, says):
    cluster.api.put(CONFIGURATION, configuration())
    cluster.api.fault = lambda method, p, n: (403, "Forbidden") if (method, p) == (verb, path) \
        else None
    replica = cluster.start(*LONG, "--propagation-delay", "300ms")
    failed = "cannot reconcile the certificates; the one in use stays in use"
    line = wait_until(lambda: replica.lines(failed), "the failure")[0]
    assert line["level"] == "error" and f"{verb} {path}: {says}" in line["error"]
    if verb == "POST":
        assert "the Secret lastword-webhook-tls does not exist (apply the manifests" in line["error"]
    status, text = replica.ready()
    assert status == 503 and f"{verb} {path}: {says}" in text
    wait_until(lambda: replica.metric("lastword_certificate_failures_total") > 1, "a second attempt")
    assert len(replica.lines(failed)) == 1  # once is enough
    cluster.api.fault = None
    replica.wait_ready()
    assert replica.lines("the certificates are reconciled again")


def test_a_wrong_clock_makes_nothing(cluster):
    cluster.api.put(CONFIGURATION, configuration())
    cluster.api.date = 86400
    replica = cluster.start(*LONG, "--propagation-delay", "300ms")
    wait_until(lambda: "clock differs from the API server's by -86400 s" in replica.ready()[1] or
               "clock differs from the API server's by -86399 s" in replica.ready()[1], "the reason")
    assert cluster.api.get(SECRET) is None
    cluster.api.date = None
    replica.wait_ready()


def test_moves_over_from_other_certificates(cluster):
    """Until now the certificate came from files, signed by another CA, and other replicas go on
    serving it: that CA stays trusted, and ours serves only once every API server trusts it."""
    from pki import SelfSigned
    other = SelfSigned("somebody", names=NAMES)
    cluster.api.put(CONFIGURATION, configuration(other.chain))
    replica = cluster.start(*LONG, "--propagation-delay", "300ms")
    wait_until(lambda: len(load(cluster.api.bundle())) == 2, "both CAs")
    replica.wait_ready()
    published = cluster.api.bundles[1][0]
    trusted = [line for line in replica.lines("certificates: wrote the Secret")
               if line["reason"] == "every API server trusts the new CA"]
    assert len(cluster.api.bundles) == 2 and len(trusted) == 1 and published > 0
    assert other.certificate in load(cluster.api.bundle(1))


@pytest.mark.parametrize("arguments,says", [
    (["--certs", "other"], "expected self"),
    (["--certs", "self"], "expected --service, --namespace, --webhook-config and --secret"),
    (["--certs", "self", "--tls-cert", "x"], "not both"),
    (["--tls-cert", "x", "--tls-key", "y", "--service", "z"], "belong to --certs self"),
    (["--certs", "self", "--service", "A", "--namespace", "b", "--webhook-config", "c",
      "--secret", "d"], 'name of the Service, got "A"'),
    (["--certs", "self", "--service", "a", "--namespace", "b.c", "--webhook-config", "c",
      "--secret", "d"], 'name of the namespace, got "b.c"'),
    (["--certs", "self", "--service", "a", "--namespace", "b", "--webhook-config", "c",
      "--secret", "d", "--propagation-delay", "10m", "--cert-lifetime", "59m"],
     "6 times the propagation delay"),
    (["--certs", "self", "--service", "a", "--namespace", "b", "--webhook-config", "c",
      "--secret", "d", "--ca-lifetime", "1000h"], "at least 2 times a certificate's"),
    (["--certs", "self", "--propagation-delay", "-1s"], "0 or more")])
def test_usage(arguments, says):
    output = subprocess.run([BUILD / "bin/lastword-webhook", "--config", "x", *arguments],
                          capture_output=True, text=True)
    assert output.returncode == 2 and says in output.stderr


def test_needs_a_cluster(tmp_path):
    config = (ROOT / "tests/data/config/reviews.yaml").read_text().replace("MODE", "classic")
    (tmp_path / "c.yaml").write_text(config)
    output = subprocess.run(
        [BUILD / "bin/lastword-webhook", "--config", tmp_path / "c.yaml", "--certs", "self",
         "--service", "a", "--namespace", "b", "--webhook-config", "c", "--secret", "d",
         "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"],
        capture_output=True, text=True, env={"PATH": "/usr/bin"}, timeout=60)
    assert output.returncode == 1 and "not in a cluster" in output.stderr
