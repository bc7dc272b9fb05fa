"""The file of a client key: what it holds, and the errors where it cannot be opened."""

import base64
import datetime
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_der_private_key, pkcs12

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.identities.client_key import load_client_key
from aliyun_sdk_secretsmanager_common_plugin.settings import ClientKeySettings

from .fakes import everything_in

PASSWORD = "ThePasswordThatNobodyMaySee42"
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0, tzinfo=None)


@pytest.fixture(scope="module")
def private_key():
    return rsa.generate_private_key(65537, 2048)


def certificate(private_key, ends):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client key")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(ends - datetime.timedelta(days=30)).not_valid_after(ends)
    return builder.public_key(private_key.public_key()).sign(private_key, SHA256())


def archive(private_key, ends=NOW + datetime.timedelta(days=1)):
    own = certificate(private_key, ends) if ends else None
    return pkcs12.serialize_key_and_certificates(
        b"key", private_key, own, None, BestAvailableEncryption(PASSWORD.encode("ascii")))


@pytest.fixture
def write(tmp_path):
    """Write a client key file, from text or a document with changes, and return its settings. None removes a field."""

    def write_file(text=None, data=b"", password=PASSWORD, **changes):
        document = dict({"KeyId": "KAAP.1", "PrivateKeyData": base64.b64encode(data).decode("ascii")}, **changes)
        path = tmp_path / "key.json"
        path.write_bytes(text if text is not None else json.dumps(
            {name: value for name, value in document.items() if value is not None}).encode("utf-8"))
        return ClientKeySettings(str(path), password)

    return write_file


@pytest.fixture
def refused(tmp_path):
    def load(settings):
        with pytest.raises(ConfigurationError) as caught:
            load_client_key(settings)
        shown = everything_in(caught.value)
        assert PASSWORD not in shown
        assert "PrivateKeyData" not in shown or "PrivateKeyData\"" in str(caught.value)
        assert str(tmp_path / "key.json") in str(caught.value)
        return str(caught.value)

    return load


@pytest.mark.parametrize("ends", [NOW + datetime.timedelta(hours=12), None])
def test_it_signs_with_the_key_in_the_file(write, private_key, ends):
    client_key = load_client_key(write(data=archive(private_key, ends)))

    assert client_key.key_id == "KAAP.1"
    private_key.public_key().verify(base64.b64decode(client_key.sign("text")), b"text", PKCS1v15(), SHA256())


def test_it_gives_the_key_as_the_sdk_takes_it(write, private_key):
    pkcs8 = load_client_key(write(data=archive(private_key))).pkcs8()

    assert load_der_private_key(base64.b64decode(pkcs8), None).private_numbers() == private_key.private_numbers()


def test_base64_may_be_in_lines(write, private_key):
    lines = base64.encodebytes(archive(private_key)).decode("ascii")

    assert load_client_key(write(PrivateKeyData=lines)).key_id == "KAAP.1"


def test_repr_shows_the_id_only(write, private_key):
    assert repr(load_client_key(write(data=archive(private_key)))) == "ClientKey('KAAP.1')"


def test_wrong_password(write, refused, private_key):
    message = refused(write(data=archive(private_key), password="NotThePassword"))

    assert "the password does not open it" in message
    assert "NotThePassword" not in message


def test_expired_certificate_says_since_when(write, refused, private_key):
    message = refused(write(data=archive(private_key, NOW - datetime.timedelta(seconds=5))))

    assert "expired at {:%Y-%m-%dT%H:%M:%SZ}".format(NOW - datetime.timedelta(seconds=5)) in message
    assert "create another client key" in message


def test_key_of_another_kind(write, refused):
    assert "no RSA key" in refused(write(data=archive(ec.generate_private_key(ec.SECP256R1()))))


def test_no_such_file(tmp_path, refused):
    assert "No such file" in refused(ClientKeySettings(str(tmp_path / "key.json"), PASSWORD))


def test_directory_or_device(tmp_path, refused):
    (tmp_path / "key.json").mkdir()

    assert "Is a directory; name the file in it" in refused(ClientKeySettings(str(tmp_path / "key.json"), PASSWORD))


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "/{0}", "no/such/directory/{0}", "{0}/key.json"])
def test_path_that_may_be_a_password_is_not_shown(path):
    with pytest.raises(ConfigurationError) as caught:
        load_client_key(ClientKeySettings(path.format(PASSWORD), PASSWORD))

    assert PASSWORD not in everything_in(caught.value)
    assert "a path of {} characters".format(len(path.format(PASSWORD))) in str(caught.value)


def test_byte_order_mark_is_skipped(write, private_key):
    settings = write(data=archive(private_key))
    with open(settings.key_file, "rb") as file:
        document = file.read()

    assert load_client_key(write(b"\xef\xbb\xbf" + document)).key_id == "KAAP.1"


@pytest.mark.parametrize("changes", [{"KeyId": "<client key id>"}, {"PrivateKeyData": "<private key data>"}])
def test_placeholder_that_was_left(write, refused, changes):
    assert "still has a placeholder" in refused(write(data=b"x", **changes))


@pytest.mark.parametrize("quote", ["'", '"'])
def test_password_in_quotes_gets_a_hint(write, refused, private_key, quote):
    message = refused(write(data=archive(private_key), password=quote + PASSWORD + quote))

    assert "the password does not open it; " in message and "take away its quotes" in message


@pytest.mark.parametrize("text", [b"", b"no JSON", b"[1]", b"null", b"\xff\xfe", b"{" * 100000])
def test_no_json_object(write, refused, text):
    assert "is no JSON object" in refused(write(text))


@pytest.mark.parametrize("changes", [{"KeyId": None}, {"PrivateKeyData": None}, {"KeyId": 5}, {"PrivateKeyData": []}])
def test_json_without_the_fields(write, refused, changes):
    assert 'no "KeyId" and "PrivateKeyData"' in refused(write(data=b"x", **changes))


@pytest.mark.parametrize("key_id", ["KAAP.1\r\nX-Evil: 1", "KAAP.\x00", "KAAP.\u5bc6"], ids=ascii)
def test_id_that_no_header_holds(write, refused, private_key, key_id):
    assert '"KeyId" has a line end' in refused(write(data=archive(private_key), KeyId=key_id))


def test_name_that_no_file_can_have(tmp_path):
    with pytest.raises(ConfigurationError, match="the client key file .*: cannot be read: that is no path"):
        load_client_key(ClientKeySettings(str(tmp_path / "key.json") + "\x00", PASSWORD))


@pytest.mark.parametrize("data", ["", "not Base64 !", base64.b64encode(b"no archive").decode("ascii"),
                                  base64.b64encode(b"\x30\x03\x02\x01\x00").decode("ascii")])
def test_no_pkcs12(write, refused, data):
    assert "no PKCS #12 archive" in refused(write(PrivateKeyData=data))


def test_damaged_archive(write, refused, private_key):
    refused(write(data=archive(private_key)[:-200]))
