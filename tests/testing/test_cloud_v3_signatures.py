"""Signature version 3: requests as its page describes them are accepted, and none that differs in a signed byte."""

import hashlib
import hmac
import json
import time
from urllib.parse import quote

import pytest

from aliyun_sdk_secretsmanager_testing import AccessKeyPair
from aliyun_sdk_secretsmanager_testing.signatures import v3

from .sdk_requests import Replayer, changes

SHA256, SM3 = "ACS3-HMAC-SHA256", "ACS3-HMAC-SM3"

REFUSALS = {"SignatureDoesNotMatch", "InvalidAccessKeyId.NotFound", "MissingParameter", "InvalidTimeStamp.Expired",
            "InvalidTimeStamp.Format", "InvalidParameter", "IncompleteSignature", "ContentSHA256NotMatched",
            "InvalidApi.NotFound"}

needs_sm3 = pytest.mark.skipif(SM3 not in v3._HASHES, reason="the installed cryptography has no SM3")


def sm3(data):
    from cryptography.hazmat.primitives import hashes

    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def sm3_mac(secret, text):
    """HMAC (RFC 2104) with SM3, whose blocks have 64 bytes."""
    padded = secret.ljust(64, b"\0")
    return sm3(bytes(byte ^ 0x5C for byte in padded) + sm3(bytes(byte ^ 0x36 for byte in padded) + text))


HASHES = {
    SHA256: (lambda data: hashlib.sha256(data).digest(),
             lambda secret, text: hmac.new(secret, text, hashlib.sha256).digest()),
    SM3: (sm3, sm3_mac),
}


class Signer:
    """Requests as the page "V3 request structure and signature" describes them, for one address and key."""

    def __init__(self, address, key, date):
        self.address = address
        self.key = key
        self.date = date

    def raw(self, method="POST", path="/", query=(), body=b"", content_type=None, algorithm=SHA256, action="DoThings",
            unsigned=(), changed=None, **more):
        """Return the bytes of a request.

        Args:
            unsigned: names of headers that are sent and not signed.
            changed: headers that are other ones than were signed; None is none.
        """
        digest, mac = HASHES.get(algorithm, HASHES[SHA256])
        headers = {"host": self.address, "x-acs-action": action, "x-acs-version": "2014-05-26",
                   "x-acs-date": self.date, "x-acs-signature-nonce": "nonce-1",
                   "x-acs-content-sha256": digest(body).hex()}
        if content_type:
            headers["content-type"] = content_type
        if self.key.security_token:
            headers["x-acs-security-token"] = self.key.security_token
        headers.update((name.replace("_", "-"), value) for name, value in more.items())
        names = sorted(name for name in headers if name not in unsigned)
        pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in query)
        canonical = "\n".join([
            method, path, "&".join("{}={}".format(*pair) for pair in pairs),
            "".join("{}:{}\n".format(name, headers[name].strip()) for name in names), ";".join(names),
            digest(body).hex()])
        string_to_sign = "{}\n{}".format(algorithm, digest(canonical.encode("utf-8")).hex())
        headers["authorization"] = "{} Credential={},SignedHeaders={},Signature={}".format(
            algorithm, self.key.access_key_id, ";".join(names),
            mac(self.key.access_key_secret.encode(), string_to_sign.encode()).hex())
        headers.update(changed or {})
        target = path + ("?" + "&".join("{}={}".format(*pair) for pair in reversed(pairs)) if pairs else "")
        lines = ["{} {} HTTP/1.1".format(method, target), "content-length: {}".format(len(body))]
        lines += ["{}: {}".format(name, value) for name, value in headers.items() if value is not None]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


REQUESTS = {
    "rpc query": {"query": [("Filter", "a b*~/+&=é"), ("A", "1"), ("Empty", "")]},
    "rpc form": {"body": b"Name=a+b%26&Tag.1=%C3%A9", "content_type": "application/x-www-form-urlencoded"},
    "roa get": {"method": "GET", "path": "/clusters/c%201/nodes%2Fn~", "query": [("b", "x y&é"), ("a", "1")]},
    "roa put": {"method": "PUT", "path": "/clusters/c1", "body": b'{"size": 3}', "content_type": "application/json"},
}


def make_signer(cloud, clock, key, offset=0):
    """Return a signer whose clock is ``offset`` seconds ahead."""
    return Signer(cloud.api_endpoint, key, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock.time() + offset)))


@pytest.fixture
def signer(cloud, clock, key):
    return make_signer(cloud, clock, key)


@pytest.fixture
def send(cloud):
    """A function that sends the bytes of a request and returns the status and the document of the answer."""
    with Replayer(cloud.api_endpoint) as replayer:

        def do(raw):
            status, _, body = replayer.send(raw)
            return status, json.loads(body.decode("utf-8"))

        yield do


def refusal(answer):
    return answer[0], answer[1]["Code"]


@pytest.mark.parametrize("algorithm", [SHA256, pytest.param(SM3, marks=needs_sm3)])
@pytest.mark.parametrize("style", sorted(REQUESTS))
def test_request_is_accepted_and_arrives_whole(cloud, signer, send, key, style, algorithm):
    status, document = send(signer.raw(algorithm=algorithm, **REQUESTS[style]))

    assert status == 200
    assert (document["Action"], document["Path"]) == ("DoThings", REQUESTS[style].get("path", "/"))
    expected = dict(REQUESTS[style].get("query", ()))
    if style == "rpc form":
        expected = {"Name": "a b&", "Tag.1": "é"}
    assert document["Parameters"] == expected
    call, = cloud.calls("api")
    assert (call.action, call.access_key_id, call.secret) == ("DoThings", key.access_key_id, "app/key")


@pytest.mark.parametrize("style", ["rpc form", "roa get"])
def test_request_is_refused_with_any_signed_byte_changed(cloud, clock, style):
    key = cloud.create_secret("temporary", token=True).current
    raw = make_signer(cloud, clock, key).raw(accept="application/json", **REQUESTS[style])
    with Replayer(cloud.api_endpoint) as replayer:
        accepted = []
        for note, changed in changes(raw, {"content-length", "connection"}):
            status, _, body = replayer.send(changed)
            if status < 400:
                accepted.append(note)
            elif body.startswith(b"{"):
                assert json.loads(body.decode())["Code"] in REFUSALS, (note, body)
        assert accepted == []
        assert replayer.send(raw)[0] == 200


def test_request_sent_twice_is_refused_as_its_nonce_was_used(cloud, clock, key, signer, send):
    assert send(signer.raw())[0] == 200
    status, document = send(signer.raw())
    assert (status, document["Code"]) == (400, "SignatureNonceUsed")
    assert document["Message"] == "Specified signature nonce was used already."
    assert refusal(send(signer.raw(action="Another"))) == (400, "SignatureNonceUsed")
    assert send(signer.raw(x_acs_signature_nonce="nonce-2"))[0] == 200
    clock.advance(30 * 60 + 1)
    assert send(make_signer(cloud, clock, key).raw())[0] == 200


def test_wrong_secret_is_told_what_the_service_signed(cloud, clock, key, send):
    wrong = AccessKeyPair(key.access_key_id, "wrong")

    status, document = send(make_signer(cloud, clock, wrong).raw(query=[("A", "1")]))

    assert (status, document["Code"]) == (400, "SignatureDoesNotMatch")
    assert "server string to sign is:ACS3-HMAC-SHA256\n" in document["Message"]
    assert "server canonical request is:POST\n/\nA=1\nhost:" in document["Message"]


def test_refusal_does_not_show_the_token(cloud, clock, send):
    key = cloud.create_secret("temporary", token=True).current

    _, document = send(make_signer(cloud, clock, key._replace(access_key_secret="wrong")).raw())

    assert "x-acs-security-token:***" in document["Message"]
    assert key.security_token not in document["Message"]


def test_codes_of_refused_keys(cloud, clock, signer, key, send):
    unknown = AccessKeyPair("LTAIunknownunknown", key.access_key_secret)
    assert refusal(send(make_signer(cloud, clock, unknown).raw())) == (404, "InvalidAccessKeyId.NotFound")
    cloud.disable_key(key.access_key_id)
    assert refusal(send(signer.raw())) == (400, "InvalidAccessKeyId.Inactive")


def test_codes_of_refused_tokens(cloud, clock, send):
    key = cloud.create_secret("temporary", token=True, expires_in=60.0).current
    for token, code in (("wrong", "InvalidSecurityToken.Malformed"), (None, "MissingSecurityToken")):
        assert refusal(send(make_signer(cloud, clock, key._replace(security_token=token)).raw())) == (400, code)
    clock.advance(60.0)
    assert refusal(send(make_signer(cloud, clock, key).raw())) == (400, "InvalidSecurityToken.Expired")


@pytest.mark.parametrize("seconds, status", [(14 * 60, 200), (16 * 60, 400), (-14 * 60, 200), (-16 * 60, 400)])
def test_date_may_be_fifteen_minutes_off(cloud, clock, key, send, seconds, status):
    answer = send(make_signer(cloud, clock, key, seconds).raw())

    assert answer[0] == status
    assert answer[1].get("Code") == (None if status == 200 else "InvalidTimeStamp.Expired")


def test_date_of_another_form_is_refused(signer, send):
    assert refusal(send(signer.raw(x_acs_date="Sat, 21 Nov 2026 10:00:00 GMT"))) == (400, "InvalidTimeStamp.Format")


def test_another_body_than_was_hashed_is_refused(signer, send):
    raw = signer.raw(body=b'{"size": 3}')

    assert refusal(send(raw[:-2] + b"4}")) == (400, "ContentSHA256NotMatched")


@pytest.mark.parametrize("name", ["x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce",
                                  "x-acs-content-sha256"])
def test_header_that_is_missing_is_named(signer, send, name):
    status, document = send(signer.raw(changed={name: None}))

    assert (status, document["Code"]) == (400, "MissingParameter")
    assert name in document["Message"]


@pytest.mark.parametrize("name", ["host", "x-acs-date", "x-acs-action"])
def test_header_that_must_be_signed_is_named(signer, send, name):
    status, document = send(signer.raw(unsigned=[name]))

    assert (status, document["Code"]) == (400, "IncompleteSignature")
    assert "SignedHeaders lacks " + name in document["Message"]


@pytest.mark.parametrize("part", ["Credential", "SignedHeaders", "Signature"])
def test_part_of_the_authorization_that_is_missing_is_named(signer, send, part):
    raw = signer.raw().replace(part.encode() + b"=", b"Other=")

    status, document = send(raw)

    assert (status, document["Code"]) == (400, "IncompleteSignature")
    assert "Authorization has no " + part in document["Message"]


def test_another_algorithm_is_refused_with_those_that_work(signer, send):
    status, document = send(signer.raw(algorithm="ACS3-RSA-SHA256"))

    assert (status, document["Code"]) == (400, "InvalidParameter")
    assert "ACS3-RSA-SHA256; sign with ACS3-HMAC-SHA256" in document["Message"]


def test_sm3_is_refused_likewise_where_it_cannot_be_had(signer, send, monkeypatch):
    monkeypatch.delitem(v3._HASHES, SM3, raising=False)

    status, document = send(signer.raw().replace(SHA256.encode(), SM3.encode()))
    assert (status, document["Code"]) == (400, "InvalidParameter")
    assert "sign with ACS3-HMAC-SHA256" in document["Message"]


def test_error_is_xml_where_the_request_asks_for_it(cloud, signer):
    with Replayer(cloud.api_endpoint) as replayer:
        status, headers, body = replayer.send(signer.raw(accept="application/xml", changed={"x-acs-action": None}))

    assert (status, headers["Content-Type"]) == (400, "text/xml;charset=utf-8")
    assert b"<Code>MissingParameter</Code>" in body


def test_events_come_one_after_another(cloud, signer):
    with Replayer(cloud.api_endpoint) as replayer:
        status, headers, body = replayer.send(signer.raw(action="StreamEvents"))

    assert (status, headers["Content-Type"]) == (200, "text/event-stream;charset=utf-8")
    events = body.decode().split("\n\n")
    assert [each.split("\n")[0] for each in events] == ["id: 1", "id: 2", "id: 3", ""]
    assert json.loads(events[0].split("data: ")[1])["Action"] == "StreamEvents"


def test_download_is_the_body_of_the_request(cloud, signer):
    content = bytes(bytearray(range(256)))
    with Replayer(cloud.api_endpoint) as replayer:
        status, headers, body = replayer.send(signer.raw(action="DownloadBody", body=content))

    assert (status, headers["Content-Type"], body) == (200, "application/octet-stream", content)


def test_secrets_manager_takes_it_too(cloud, clock):
    signer = make_signer(cloud, clock, cloud.identity)
    signer.address = cloud.gateway_endpoint()
    cloud.create_secret("another")
    raw = signer.raw(action="GetSecretValue", query=[("SecretName", "another")], changed=None, x_acs_version="2016-01-20")
    with Replayer(cloud.gateway_endpoint(), cloud.ca_file) as replayer:
        status, _, body = replayer.send(raw)

    assert (status, json.loads(body.decode())["SecretName"]) == (200, "another")
