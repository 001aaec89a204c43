"""Keys and certificates of a test: a CA and what it signs, as files PATH.crt, PATH.key."""
import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def _pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def _name(common_name, organisation=None):
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(parts)


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class CertificateAuthority:
    def __init__(self, name="lastword test"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self.certificate = self._sign(self.name, self.key.public_key(), [
            (x509.BasicConstraints(True, None), True)])

    def _sign(self, subject, public_key, extensions):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
                   .public_key(public_key).serial_number(x509.random_serial_number())
                   .not_valid_before(now - DAY).not_valid_after(now + 30 * DAY))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, path):
        path.with_suffix(".crt").write_bytes(self.pem())

    def issue(self, path, common_name, organisation=None, names=()):
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH,
                                              ExtendedKeyUsageOID.SERVER_AUTH]), False)]
        if names:
            extensions.append((x509.SubjectAlternativeName([_alternative(n) for n in names]),
                               False))
        certificate = self._sign(_name(common_name, organisation), key.public_key(), extensions)
        path.with_suffix(".crt").write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM))
        path.with_suffix(".key").write_bytes(_pem(key))


def write_key_pair(path):
    """For ServiceAccounts' tokens."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.with_suffix(".key").write_bytes(_pem(key))
    path.with_suffix(".pub").write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
