"""As much of cert-manager as overlays/cert-manager asks for, where its own images cannot be had: the two
resources with the fields that we use, and one reconcile that does what cert-manager's controller and its
cainjector do with them. The forms are those of cert-manager 1.x: the Secret's type, keys, annotations and
label, the key's encoding, and the extensions of the certificate (docs: usage/certificate,
concepts/ca-injector; pkg/controller/cainjector/sources.go). It accepts less than cert-manager does: what
it does not know fails."""
import base64
import datetime
import re

import kube
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

GROUP = "cert-manager.io"
API = f"/apis/{GROUP}/v1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
TEXT = {"type": "string"}
EMPTY = {"type": "object"}
PRIVATE_KEY = {"type": "object", "properties": {
    "algorithm": {"type": "string", "enum": ["ECDSA"]}, "size": {"type": "integer", "enum": [256]},
    "rotationPolicy": {"type": "string", "enum": ["Never", "Always"]}}}
SPECS = {
    "Issuer": {"type": "object", "properties": {
        "selfSigned": EMPTY,
        "ca": {"type": "object", "required": ["secretName"], "properties": {"secretName": TEXT}}}},
    "Certificate": {"type": "object", "required": ["issuerRef", "privateKey", "secretName"], "properties": {
        "secretName": TEXT, "commonName": {"type": "string", "maxLength": 64},
        "duration": {"type": "string", "pattern": "^[0-9]+h$"}, "isCA": {"type": "boolean"},
        "dnsNames": {"type": "array", "items": TEXT}, "privateKey": PRIVATE_KEY,
        "issuerRef": {"type": "object", "required": ["name"],
                      "properties": {"name": TEXT, "kind": {"type": "string", "enum": ["Issuer"]}}}}},
}


def make_crd(cluster, group, kind, schema):
    """A resource of somebody else's, of version v1 and in namespaces."""
    plural = f"{kind.lower()}s"
    cluster.create(CRDS, {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced",
                 "names": {"kind": kind, "plural": plural, "singular": kind.lower(),
                           "listKind": f"{kind}List"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                     "openAPIV3Schema": {"type": "object", "required": ["spec"],
                                         "properties": {"spec": schema}}}}]}})
    kube.wait_until(lambda: cluster.find(f"/apis/{group}/v1/{plural}"), f"the API has {plural}")


def delete_crd(cluster, group, kind):
    cluster.delete(f"{CRDS}/{kind.lower()}s.{group}")
    kube.wait_until(lambda: cluster.find(f"{CRDS}/{kind.lower()}s.{group}") is None, f"{kind} is gone")


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key):
    """BEGIN EC PRIVATE KEY: cert-manager's encoding PKCS1, its default."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                             serialization.NoEncryption())


def _name(spec):
    """Without commonName the subject is empty, as of cert-manager's certificates."""
    common = spec.get("commonName")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])


def _usage(is_ca):
    """cert-manager's default usages; there is no extended key usage."""
    return x509.KeyUsage(digital_signature=True, key_encipherment=True, key_cert_sign=is_ca,
                         content_commitment=False, data_encipherment=False, key_agreement=False,
                         crl_sign=False, encipher_only=False, decipher_only=False)


class CertManager:
    """Used with `with`: its resources exist within."""

    def __init__(self, cluster):
        self.cluster = cluster

    def __enter__(self):
        for kind, schema in SPECS.items():
            make_crd(self.cluster, GROUP, kind, schema)
        return self

    def __exit__(self, *_):
        for kind in SPECS:
            delete_crd(self.cluster, GROUP, kind)

    def secret(self, namespace, name):
        found = self.cluster.find(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return found and {key: base64.b64decode(value) for key, value in found["data"].items()}

    def issuer_of(self, certificate):
        """(the CA's certificate, its key) of a Certificate's Issuer; (None, None) of a selfSigned one.
        None: it is not ready."""
        namespace = certificate["metadata"]["namespace"]
        name = certificate["spec"]["issuerRef"]["name"]
        issuer = self.cluster.find(f"{API}/namespaces/{namespace}/issuers/{name}")
        if issuer is None:
            return None
        if "selfSigned" in issuer["spec"]:
            return None, None
        secret = self.secret(namespace, issuer["spec"]["ca"]["secretName"])
        if secret is None:
            return None
        return (x509.load_pem_x509_certificate(secret["tls.crt"]),
                serialization.load_pem_private_key(secret["tls.key"], None))

    def key_of(self, certificate):
        """A new one, unless rotationPolicy says Never; the default is that of cert-manager 1.18."""
        spec = certificate["spec"]
        secret = self.secret(certificate["metadata"]["namespace"], spec["secretName"])
        if secret and spec["privateKey"].get("rotationPolicy", "Always") == "Never":
            return serialization.load_pem_private_key(secret["tls.key"], None)
        return ec.generate_private_key(ec.SECP256R1())

    def issue(self, certificate, ca, ca_key):
        spec = certificate["spec"]
        is_ca, names = spec.get("isCA", False), spec.get("dnsNames", [])
        key = self.key_of(certificate)
        now = datetime.datetime.utcnow()
        hours = int(re.fullmatch(r"(\d+)h", spec.get("duration", "2160h")).group(1))
        signer = ca_key or key
        issued = (x509.CertificateBuilder().subject_name(_name(spec))
                  .issuer_name(ca.subject if ca else _name(spec))
                  .public_key(key.public_key()).serial_number(x509.random_serial_number())
                  .not_valid_before(now).not_valid_after(now + datetime.timedelta(hours=hours))
                  .add_extension(x509.BasicConstraints(is_ca, None), True)
                  .add_extension(_usage(is_ca), True)
                  .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        if ca:
            issued = issued.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                ca_key.public_key()), False)
        if names:
            issued = issued.add_extension(x509.SubjectAlternativeName(
                [x509.DNSName(name) for name in names]), not spec.get("commonName"))
        issued = issued.sign(signer, hashes.SHA256())
        self.store(certificate, {"tls.crt": _pem(issued), "tls.key": _key_pem(key),
                                 "ca.crt": _pem(ca or issued)})

    def store(self, certificate, data):
        metadata, spec = certificate["metadata"], certificate["spec"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/secrets"
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                  "metadata": {"name": spec["secretName"],
                               "labels": {f"controller.{GROUP}/fao": "true"},
                               "annotations": {
                                   f"{GROUP}/certificate-name": metadata["name"],
                                   f"{GROUP}/issuer-name": spec["issuerRef"]["name"],
                                   f"{GROUP}/issuer-kind": spec["issuerRef"].get("kind", "Issuer"),
                                   f"{GROUP}/common-name": spec.get("commonName", ""),
                                   f"{GROUP}/alt-names": ",".join(spec.get("dnsNames", []))}},
                  "data": {key: base64.b64encode(value).decode() for key, value in data.items()}}
        if self.cluster.find(f"{path}/{spec['secretName']}"):
            self.cluster.call("PUT", f"{path}/{spec['secretName']}", secret)
        else:
            self.cluster.create(path, secret)

    def reconcile(self, renew=()):
        """Issues what has no Secret yet, or is named in renew; then injects CAs. True: nothing waits for
        something else any more."""
        complete = True
        for certificate in self.cluster.get(f"{API}/certificates")["items"]:
            name, namespace = certificate["metadata"]["name"], certificate["metadata"]["namespace"]
            if name not in renew and self.secret(namespace, certificate["spec"]["secretName"]):
                continue
            issuer = self.issuer_of(certificate)
            if issuer is None:
                complete = False
            else:
                self.issue(certificate, *issuer)
        for configuration in self.cluster.get(CONFIGURATIONS)["items"]:
            source = configuration["metadata"].get("annotations", {}).get(f"{GROUP}/inject-ca-from")
            if source:
                complete = self.inject(configuration, *source.split("/")) and complete
        return complete

    def inject(self, configuration, namespace, name):
        """cainjector: the CA of the Certificate's own Secret goes into every webhook."""
        certificate = self.cluster.find(f"{API}/namespaces/{namespace}/certificates/{name}")
        secret = certificate and self.cluster.find(
            f"/api/v1/namespaces/{namespace}/secrets/{certificate['spec']['secretName']}")
        if not secret or secret["metadata"]["annotations"].get(f"{GROUP}/certificate-name") != name:
            return False
        for webhook in configuration["webhooks"]:
            webhook["clientConfig"]["caBundle"] = secret["data"]["ca.crt"]
        self.cluster.call("PUT", f"{CONFIGURATIONS}/{configuration['metadata']['name']}", configuration)
        return True
