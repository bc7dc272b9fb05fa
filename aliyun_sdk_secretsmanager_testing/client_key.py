"""Client keys in the form in which KMS gives them: a file with an RSA private key in PKCS#12, under a password."""
import base64
import datetime
import functools
import json
import os
import secrets
import uuid
from typing import Any, NamedTuple, Tuple

_DAY_SECONDS = 24 * 60 * 60


class ClientKeyFile(NamedTuple):
    """The file of a client key.

    Attributes:
        path: the path of the JSON file.
        key_id: the KeyId in it.
    """

    path: str
    key_id: str


def new_client_key(directory: Any, nth: int, password: str, now: float, end: float) -> Tuple[ClientKeyFile, Any]:
    """Make an RSA key and its certificate, and write them to a file.

    Args:
        directory: the directory to write the file in, which must exist.
        nth: the number of this client key in its cloud.
        password: the password of the PKCS#12 data.
        now: seconds since 1970.
        end: when the certificate expires, in seconds since 1970.

    Returns:
        The file, and the public key.
    """
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
    key_id = "KAAP." + str(uuid.uuid4())
    key = _private_key(nth)
    sealed = pkcs12.serialize_key_and_certificates(
        key_id.encode("ascii"), key, _certificate(key, key_id, min(now, end) - _DAY_SECONDS, end), None,
        BestAvailableEncryption(password.encode("utf-8")))
    path = os.path.join(str(directory), "clientKey_{}.json".format(key_id))
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"KeyId": key_id, "PrivateKeyData": base64.b64encode(sealed).decode("ascii")}, file)
    return ClientKeyFile(path, key_id), key.public_key()


@functools.lru_cache(maxsize=None)
def _private_key(_nth: int) -> Any:
    """Return an RSA key. Each client key of a cloud has another; clouds share them, since making one takes long."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _certificate(key: Any, key_id: str, start: float, end: float) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, key_id)])
    builder = x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(),
                                      serial_number=secrets.randbits(64) + 1,
                                      not_valid_before=_utc(start), not_valid_after=_utc(end))
    return builder.sign(key, hashes.SHA256())


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
