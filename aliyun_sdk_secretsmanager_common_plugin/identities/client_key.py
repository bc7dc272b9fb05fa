"""A client key of a KMS application access point: an RSA key with an id, in a file that a password opens."""

import base64
import calendar
import time
from typing import TYPE_CHECKING, Any, Callable, Mapping, NoReturn

from ..access_key import DATE, can_be_sent
from ..exceptions import ConfigurationError
from ..secrecy import json_object, shown_path
from ..settings import ClientKeySettings
from ..settings.files import Unreadable, read_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_DOWNLOADED = "give the file that KMS let you download"


class ClientKey:
    """An opened client key. Its ``key_id`` looks like ``KAAP...``."""

    def __init__(self, key_id: str, private_key: "RSAPrivateKey") -> None:
        self.key_id = key_id
        self._private_key = private_key

    def sign(self, text: str) -> str:
        """Return the signature of ``text``: RSA PKCS #1 v1.5 over SHA-256, in Base64."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        return base64.b64encode(self._private_key.sign(text.encode("utf-8"), PKCS1v15(), SHA256())).decode("ascii")

    def pkcs8(self) -> str:
        """Return the private key in the form that the SDK's signers take: PKCS #8, DER, in Base64."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        der = self._private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return base64.b64encode(der).decode("ascii")

    def __repr__(self) -> str:
        return "ClientKey({!r})".format(self.key_id)


def load_client_key(settings: ClientKeySettings) -> ClientKey:
    """Return the client key in a file that KMS let the user download.

    The file is JSON, ``{"KeyId": ..., "PrivateKeyData": ...}``. The data is a PKCS #12 archive in Base64.

    Raises:
        ConfigurationError: the file cannot be read or holds no client key, the password is wrong, or the certificate
            has expired.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

    def fail(problem: str) -> NoReturn:
        raise ConfigurationError("the client key file {}: {}".format(shown_path(settings.key_file), problem)) from None

    document = _json_object(settings.key_file, fail)
    if not all(isinstance(document.get(field), str) for field in ("KeyId", "PrivateKeyData")):
        fail('has no "KeyId" and "PrivateKeyData"; ' + _DOWNLOADED)
    if document["KeyId"][:1] == "<" or document["PrivateKeyData"][:1] == "<":
        fail("still has a placeholder; " + _DOWNLOADED)
    if not can_be_sent(document["KeyId"]):
        fail('"KeyId" has a line end, another control character, or one that is not ASCII; ' + _DOWNLOADED)
    archive = _archive(document["PrivateKeyData"], fail)
    problem = ""
    try:
        private_key, certificate, _ = load_key_and_certificates(archive, settings.password.encode("utf-8"))
    except ValueError:
        problem = "the password does not open it; check the password that it was created with"
        if settings.password[:1] in ("'", '"'):
            problem += ", and take away its quotes, which count"
    if problem:
        fail(problem)
    if not isinstance(private_key, RSAPrivateKey):
        fail("holds no RSA key; " + _DOWNLOADED)
    if certificate is not None:
        ends = _not_valid_after(certificate)
        if ends < time.time():
            fail("its certificate expired at {}; create another client key in KMS, and give its file".format(
                time.strftime(DATE, time.gmtime(ends))))
    return ClientKey(document["KeyId"], private_key)


def _json_object(path: str, fail: Callable[[str], NoReturn]) -> Mapping[str, Any]:
    try:
        content = read_file(path, _DOWNLOADED)
    except Unreadable as error:
        fail("cannot be read: {}".format(error))
    document = json_object(content.decode("utf-8-sig", "replace"))
    if document is None:
        fail("is no JSON object; " + _DOWNLOADED)
    return document


def _archive(text: str, fail: Callable[[str], NoReturn]) -> bytes:
    try:
        archive = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        archive = b""
    # PFX, version 3 (RFC 7292, section 4): a sequence that begins with the integer 3.
    if archive[:1] != b"\x30" or b"\x02\x01\x03" not in archive[:10]:
        fail('"PrivateKeyData" is no PKCS #12 archive in Base64; ' + _DOWNLOADED)
    return archive


def _not_valid_after(certificate: Any) -> float:
    if hasattr(certificate, "not_valid_after_utc"):  # since cryptography 42
        return float(certificate.not_valid_after_utc.timestamp())
    return float(calendar.timegm(certificate.not_valid_after.timetuple()))
