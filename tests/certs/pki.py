"""Certificates that are not of lastword's making, and what Python's cryptography says of those that
are."""
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NAMES = ["lastword-webhook", "lastword-webhook.lastword-system",
         "lastword-webhook.lastword-system.svc",
         "lastword-webhook.lastword-system.svc.cluster.local"]
HOST = NAMES[2]


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key, old_form=False):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL if old_form
        else serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def load(text):
    """The certificates of a PEM text."""
    end = "-----END CERTIFICATE-----\n"
    return [x509.load_pem_x509_certificate((part + end).encode())
            for part in text.split(end) if "BEGIN CERTIFICATE" in part]


def key_of(text):
    """The public key of a private one's PEM text, as bytes; None for what is none."""
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except ValueError:
        return None
    return public_bytes(key)


def public_bytes(holder):
    """Of a certificate or a private key."""
    return holder.public_key().public_bytes(serialization.Encoding.DER,
                                            serialization.PublicFormat.SubjectPublicKeyInfo)


class SelfSigned:
    """A CA, a self-signed server certificate, or with an issuer a leaf of it."""

    def __init__(self, name, ca=True, issuer=None, names=None, start=-3600, end=86400,
                 use_rsa=False):
        self.private = (rsa.generate_private_key(65537, 2048) if use_rsa
                        else ec.generate_private_key(ec.SECP256R1()))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.utcnow()
        builder = (
            x509.CertificateBuilder().subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.private.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(seconds=start))
            .not_valid_after(now + datetime.timedelta(seconds=end))
            .add_extension(x509.SubjectAlternativeName(
                [x509.DNSName(n) for n in names or [name]]), False)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True))
        self.certificate = builder.sign(issuer.private if issuer else self.private,
                                        hashes.SHA256())
        self.chain = pem(self.certificate)
        self.key = key_pem(self.private)
