"""Random secrets and answers of gateways: a read returns a key that can sign, or raises an error of ours or the SDK's.

``Case(N)`` is made of the number N alone, so that it is always the same. The same code parses the answers as in reality,
from the bytes of HTTP on; only the sockets are not real.
"""

import gc
import gzip
import http.client
import io
import json
import logging
import random
import re
import types
from unittest import mock

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import (
    ManagedCredentials,
    ManagedCredentialsError,
    SecretFormatError,
    managed_credentials,
)
from aliyun_sdk_secretsmanager_common_plugin.compat.credentials_provider import SecretRecoveryStrategy
from aliyun_sdk_secretsmanager_common_plugin.identities import configured_identity
from aliyun_sdk_secretsmanager_common_plugin.keeper import fetching
from aliyun_sdk_secretsmanager_common_plugin.secret_info import CacheSecretInfo, SecretInfo
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Connections, protobuf
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.gateways import DedicatedGateway, SharedGateway
from aliyun_sdk_secretsmanager_common_plugin.settings import (
    ClientKeySettings,
    DedicatedGatewaySettings,
    IdentitySettings,
    Settings,
    SharedGatewaySettings,
)
from aliyun_sdk_secretsmanager_testing import LocalCloud

from .common.fakes import everything_in
from .raw_answers import BROKEN

GATEWAYS_OF = managed_credentials._gateways
CASES, ALL_CASES = 200, 100000

SECRET = "app/key"
# Each has two halves, so that one of them stays whole if a character is put into the other.
PLANTED = {"AccessKeyId": "LTAI5tPlanted0Half1Id2Planted3Half4", "AccessKeySecret": "Plant5Secret6Half7And8Secret9Half0",
           "SecurityToken": "CAIS1Token2Half3Of4And5Token6Half7"}
HALVES = [part for text in PLANTED.values() for part in (text[:17], text[17:])]
OWN = IdentitySettings("ak", "LTAI5tWhoAsks0123456789", "SecretOfWhoAsks0123456789")
OTHER = {"AccessKeyId": "LTAI5tOther0123456789", "AccessKeySecret": "OtherSecret0123456789"}

# The outcomes of a case. Where a random change may have any effect, none of these is expected.
PLANTED_KEY, OTHER_KEY, REFUSED = "the planted key", "the other region's key", "a SecretFormatError"
ANOTHER_KEY = "a key that was changed"
# Timeouts in seconds: of a read that ends by itself, and of one that would ask the same gateway again and again.
PATIENCE, BRIEFLY = 60, 0.2

BAD_CHARACTERS = ["\n", "\r", "\r\nX-Evil: 1\r\n", "\0", "\x01", "\t", "\x1b", "\x7f", "\x80", "\xa0", "\xe9", "\u2028", "\u5bc6",
                  "\ufeff", "\U0001f511", "\ud800"]
NO_TEXTS = ["null", "true", "false", "0", "-1", "5", "NaN", "Infinity", "-Infinity", "1e400", "-1e308", "1e-400",
            "1" + 20 * "0", "9" * 400, "-" + "9" * 9000, "[]", "{}", "[[[1]]]", "[" * 300 + "]" * 300,
            json.dumps(PLANTED), json.dumps([PLANTED])]
TEXTS = ["", " ", "\0", "soon", "604800s", "-5s", "9" * 500 + "s", "1e9s", "2026-11-21T10:00:00Z", "0000-00-00T00:00:00Z",
         "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "99999-01-01T00:00:00Z", "2026-02-30T10:00:00Z", "\ud800", "x" * 5000,
         "{}", "[" * 5000, '{"SecretSubType": []}', "RamUserAccessKey", "\u5bc6\u94a5"]
NO_JSON = ["", " ", "\0", "no JSON", "[" * 50000, '{"a":' * 50000, "{" + PLANTED["AccessKeySecret"], "{]", "<html>", "'{}'",
           "\ufeff{}", '{"a" 1}', "NaN.", '"' + PLANTED["AccessKeySecret"], "[1, 2", "\ud800"]


class Case:
    """One secret, and the answer that contains it.

    Attributes:
        text: the value of the secret.
        expected: the outcome of reading it; None where any outcome is right that is no accident.
    """

    def __init__(self, number):
        self._random = random.Random(number)
        self.text, self.expected = self._secret()

    def _secret(self):
        """Return the value of a secret, and the expected outcome."""
        parts = dict(PLANTED)
        if self._often():
            del parts["SecurityToken"]
        fields = {name: json.dumps(value) for name, value in parts.items()}
        kind = self._random.randrange(8)
        if kind < 2:
            return self._object(fields), PLANTED_KEY
        if kind < 4:  # fields that do not matter
            for name in self._some("ExpireTimestamp", "GenerateTimestamp", "More", "scheduleRotateTimestamp",
                                   "refreshInterval"):
                fields[name] = self._odd()
            return self._object(fields), PLANTED_KEY
        name = self._random.choice(sorted(parts))
        if kind == 4:  # within a part, since blanks at its ends are ignored
            at = self._random.randrange(1, len(parts[name]))
            fields[name] = json.dumps(parts[name][:at] + self._random.choice(BAD_CHARACTERS) + parts[name][at:])
            return self._object(fields), REFUSED
        if kind == 5:
            fields[name] = self._random.choice(NO_TEXTS)
            return self._object(fields), PLANTED_KEY if name == "SecurityToken" else REFUSED
        if kind == 6:
            return self._random.choice(NO_JSON + [text for text in NO_TEXTS if text != json.dumps(PLANTED)]), REFUSED
        return self._damaged(self._object(fields).encode("ascii")).decode("latin-1"), None

    def of_shared(self):
        """Return the answer of a shared gateway, and the expected outcome."""
        fields = {"SecretName": json.dumps(SECRET), "SecretData": json.dumps(self.text),
                  "SecretType": '"RAMCredentials"', "VersionId": '"v-1"', "RequestId": '"1"'}
        kind = self._random.randrange(10)
        expected = self.expected
        if self.text == "":
            expected = OTHER_KEY  # no secret is empty
        status = 200
        if kind in (4, 5):
            for name in self._some("NextRotationDate", "RotationInterval", "ExtendedConfig", "CreateTime", "SecretName",
                                   "AutomaticRotation", "VersionStages", "SecretDataType"):
                fields[name] = self._odd()
        elif kind == 6:
            name = self._random.choice(["SecretData", "SecretType", "VersionId"])
            fields[name] = self._random.choice([text for text in NO_TEXTS if name == "SecretData" or text != "null"])
            expected = OTHER_KEY
        elif kind == 7:
            fields = {name: self._odd() for name in self._some("Code", "Message", "RequestId")}
            status, expected = self._random.choice([200, 301, 400, 403, 404, 429, 500, 503]), None
            if status == 200 or status >= 429:
                expected = OTHER_KEY
        body = self._object(fields).encode("ascii")
        if kind == 8:
            body = self._random.choice([body[:self._random.randrange(len(body))], self._bytes(self._random.choice(NO_JSON)),
                                        self._object(fields).encode("utf-16"), b"\xff" + body])
            status, expected = self._random.choice([200, 400, 404, 500]), OTHER_KEY
        return self._sent(status, body, expected)

    def of_dedicated(self):
        """Return the answer of a dedicated gateway, and the expected outcome."""
        data = self._bytes(self.text)
        fields = {1: SECRET, 2: "RAMCredentials", 4: "text", 6: "v-1", 8: "1"}
        kind = self._random.randrange(10)
        expected, status, tail = self.expected, 200, _field(3, data)
        if not data:
            expected = OTHER_KEY
        elif self.text != data.decode("utf-8", "replace"):
            expected = OTHER_KEY  # it is no UTF-8
        if kind == 4:
            for number in self._some(7, 9, 10, 11, 12, 13):
                fields[number] = self._random.choice([text for text in TEXTS if text != "\ud800"])
        elif kind == 5:
            tail += self._random.choice([b"\xa2\x06\x02\xff\xfe", b"\x08\x93\x03", b"\x0d1234", b"\x0912345678"])
        elif kind == 6:
            expected = OTHER_KEY
            tail = self._random.choice([
                b"", _field(3, b"\xff" + data), tail + b"\0", tail + b"\x0a", tail + b"\x0a\xff\xff\xff\xff\x7f", tail + b"\x0b",
                tail + b"\xff" * 12, _field(14, data), _field(10, b"\xff") + tail])
        elif kind == 7:
            fields = {number: self._random.choice(["InvalidX", "Forbidden.NoPermission", "x" * 5000, "\0", ""])
                      for number in self._some(2, 3, 4)}
            status, expected, tail = self._random.choice([400, 403, 404, 429, 500, 503]), None, b""
            if status >= 429 or not fields.get(2):
                expected = OTHER_KEY
        elif kind == 8:
            fields, tail = {}, self._bytes(self._random.choice(NO_JSON))
            status, expected = self._random.choice([200, 400, 404, 500]), OTHER_KEY
        return self._sent(status, protobuf.encode(fields) + tail, expected)

    def of_handed_in(self):
        """Return the value that a program's own client gives, or the error that it raises, and the expected outcome."""
        if self._random.randrange(6) == 0:
            errors = [ValueError(self.text), RecursionError(self.text), MemoryError(), OverflowError(self.text),
                      UnicodeDecodeError("utf-8", self._bytes(self.text), 0, 1, "no"), KeyError(PLANTED["AccessKeyId"]),
                      ClientException("SDK.HttpError", "/?SecurityToken=" + PLANTED["SecurityToken"]),
                      ServerException("Forbidden.NoPermission", "no", 403)]
            return self._random.choice([5, None, [PLANTED], self._bytes(self.text)] + errors), None
        return self.text, self.expected

    def attributes(self):
        """Return odd values of those attributes of a ``SecretInfo`` that do not matter."""
        odd = [None, 5, -1, True, float("nan"), float("inf"), 10 ** 400, "", [], [[5]], {"a": {}}, object(), b"\xff", *TEXTS]
        return {name: self._random.choice(odd) for name in self._some(
            "version_id", "next_rotation_date", "rotation_interval", "extended_config", "create_time",
            "automatic_rotation", "secret_data_type")}

    def moment(self):
        """Return the time at which a secret was read, or a value that is no time."""
        return self._random.choice([0, -1, None, True, float("nan"), -float("inf"), 10 ** 400, 1e308, "", "soon", [], {},
                                    1795255200000, 1795255200, "2026-11-21T10:00:00Z"])

    def way(self):
        return self._random.choice(["shared", "shared", "dedicated", "dedicated", "handed in", "kept"])

    def is_alone(self):
        """Return whether there is only one region."""
        return self._random.randrange(4) == 0

    def _sent(self, status, body, expected):
        kind = self._random.randrange(10)
        if kind == 0:
            return self._random.choice(sorted(BROKEN.values())), OTHER_KEY
        headers, sent = [], body
        if kind == 1:  # nobody asked for it
            headers, sent, expected = [b"Content-Encoding: gzip"], gzip.compress(body), OTHER_KEY
        if kind == 2:
            cuts = sorted(self._random.randrange(len(sent) + 1) for _ in range(3))
            chunks = [sent[start:end] for start, end in zip([0] + cuts, cuts + [len(sent)])]
            sent = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n\r\n"
            headers.append(b"Transfer-Encoding: chunked")
        elif kind > 3:  # otherwise the answer ends with the connection
            headers.append(b"Content-Length: %d" % len(sent))
        headers.append(b"Content-Type: " + self._random.choice([
            b"application/json", b"application/x-protobuf", b"text/html; charset=nonsense", b"\xff", b""]))
        whole = b"\r\n".join([b"HTTP/1.1 %d Said" % status, *headers, b"", sent])
        if kind == 9:
            return self._damaged(whole), None
        return whole, expected

    def _damaged(self, content):
        changed = bytearray(content)
        for _ in range(self._random.randrange(1, 5)):
            at = self._random.randrange(len(changed) + 1)
            changed[at:at + self._random.choice([0, 0, 1, 1, 2, 20])] = self._random.choice([
                b"", b"", b"\n", b"\0", b"-", b"\xff", b'"', b"9" * 20, b"\\", b"{", bytes([self._random.randrange(256)])])
        return bytes(changed)

    def _odd(self):
        return self._random.choice(NO_TEXTS + [json.dumps(text) for text in TEXTS])

    def _object(self, fields):
        names = sorted(fields)
        self._random.shuffle(names)
        return "{" + ", ".join("{}: {}".format(json.dumps(name), fields[name]) for name in names) + "}"

    def _some(self, *names):
        return [name for name in names if self._often()]

    def _often(self):
        return self._random.random() < 0.5

    @staticmethod
    def _bytes(text):
        return text.encode("utf-8", "surrogatepass")


def _field(number, content):
    """Return a field of Protocol Buffers, whose content may be no text."""
    size, rest = b"", len(content)
    while rest > 0x7F:
        size, rest = size + bytes([rest & 0x7F | 0x80]), rest >> 7
    return bytes([number << 3 | 2]) + size + bytes([rest]) + content


def good(body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Wire:
    """Takes the place of a connection's socket, and gives one answer to whatever is sent."""

    def __init__(self, answer):
        self._answer = answer

    def makefile(self, *ignored):
        return io.BufferedReader(io.BytesIO(self._answer))

    def getpeercert(self):
        return {}

    def ignore(self, *ignored):
        pass

    sendall = settimeout = close = shutdown = ignore


class FuzzedGateways:
    """Two gateways of each kind. A case says what the first one answers, and the second one answers well."""

    def __init__(self, monkeypatch, directory):
        answers = self._answers = {
            "second-shared.test": good(json.dumps({"SecretData": json.dumps(OTHER)}).encode("ascii")),
            "second-dedicated.test": good(protobuf.encode({3: json.dumps(OTHER)}))}

        def connect(connection):
            connection.sock = Wire(answers[connection.host])

        logged = self._logged = []
        # This replaces all handlers, since those of pytest keep every record.
        monkeypatch.setattr(logging.Logger, "isEnabledFor", lambda logger, level: True)
        monkeypatch.setattr(logging.Logger, "callHandlers", lambda logger, record: logged.append(
            logging.Formatter().format(record)))
        monkeypatch.setattr(http.client.HTTPSConnection, "connect", connect)
        # A real socket with unread data is not used again; a Wire cannot tell that it has some.
        monkeypatch.setattr(Connections, "get", lambda connections, gateway, connect: connect())
        monkeypatch.setattr(fetching, "HEDGE", PATIENCE)  # so that the first one is waited for on a busy machine, too
        client_key = LocalCloud().create_client_key(directory, password="PasswordOfTheClientKey0123")
        who, key = configured_identity(OWN), ClientKeySettings(client_key.path, "PasswordOfTheClientKey0123")
        self._gateways = {
            "shared": [SharedGateway(SharedGatewaySettings(name, name + "-shared.test", None), who)
                       for name in ("first", "second")],
            "dedicated": [DedicatedGateway(DedicatedGatewaySettings(name, name + "-dedicated.test", key, None, False))
                          for name in ("first", "second")]}

    def run(self, case):
        """Check the outcome of a case."""
        way, options, gateways, patience = case.way(), {}, [], PATIENCE
        if way in self._gateways:
            answer, expected = case.of_shared() if way == "shared" else case.of_dedicated()
            self._answers["first-{}.test".format(way)] = answer
            gateways = self._gateways[way]
            if case.is_alone():
                gateways, patience = gateways[:1], BRIEFLY
                expected = None if expected == OTHER_KEY else expected
        elif way == "handed in":
            given, expected = case.of_handed_in()
            options["secrets_client"] = HandedIn(given, case.attributes())
            patience = PATIENCE if isinstance(given, str) else BRIEFLY
        else:
            self._answers["first-shared.test"] = BROKEN["no HTTP"]
            gateways, patience = self._gateways["shared"][:1], BRIEFLY
            options["recovery"] = Kept(case.text, case.attributes(), case.moment())
            expected = PLANTED_KEY if case.expected == PLANTED_KEY else None
        self._logged.clear()
        outcome, shown = self._read(gateways, patience, options)
        shown += "\n".join(self._logged)
        assert not [half for half in HALVES + [OWN.access_key_secret] if half in shown], "a secret is shown"
        if patience == PATIENCE:
            assert expected in (None, outcome), "{} instead of {}".format(outcome, expected)
        if len(gateways) == 2:
            assert outcome in (PLANTED_KEY, OTHER_KEY, ANOTHER_KEY, REFUSED, "ServerException"), "no second region"
        return outcome

    def _read(self, gateways, patience, options):
        """Read the secret; return the outcome, and all text that might show a secret."""
        with mock.patch.object(managed_credentials, "_gateways", lambda *given: gateways or GATEWAYS_OF(*given)):
            credentials = ManagedCredentials(Settings(fetch_timeout=patience), **options)
        with credentials:
            try:
                key = credentials.get(SECRET)
            except (ManagedCredentialsError, ServerException, ClientException) as error:
                assert "nobody expected" not in str(error), "an accident"
                return REFUSED if isinstance(error, SecretFormatError) else type(error).__name__, everything_in(error)
            parts = (key.access_key_id, key.access_key_secret, key.security_token or "x")
            assert all(re.match("[ -~]+\\Z", part) for part in parts), "no header holds it"
            stats = credentials.stats()[SECRET]
            assert stats.next_refresh is None or 0 <= stats.next_refresh <= 3600, "it is refreshed never, or at once"
            if parts[:2] == tuple(OTHER.values()):
                return OTHER_KEY, repr(key)
            is_whole = parts[:2] == (PLANTED["AccessKeyId"], PLANTED["AccessKeySecret"])
            return PLANTED_KEY if is_whole else ANOTHER_KEY, repr((key, credentials, stats))


class HandedIn:
    def __init__(self, given, attributes):
        self._given = given
        self._attributes = attributes

    def get_secret_info(self, name):
        if isinstance(self._given, Exception):
            raise self._given
        return types.SimpleNamespace(**dict(self._attributes, secret_value=self._given))


class Kept(SecretRecoveryStrategy):
    def __init__(self, text, attributes, read):
        self._secret_info = CacheSecretInfo(refresh_time_stamp=read, secret_info=SecretInfo(
            SECRET, **dict(attributes, secret_value=text)))

    def recover_get_secret(self, secret_name):
        return self._secret_info


@pytest.fixture
def fuzzed_gateways(monkeypatch, tmp_path):
    # A finalizer fails if the garbage collector runs it at the deepest recursion, while a deep JSON is parsed.
    gc.disable()
    yield FuzzedGateways(monkeypatch, tmp_path)
    gc.enable()


@pytest.mark.parametrize("cases", [CASES, pytest.param(ALL_CASES, marks=pytest.mark.matrix)])
def test_whatever_is_answered_no_accident_happens_and_no_secret_is_shown(fuzzed_gateways, cases):
    outcomes = set()
    for number in range(cases):
        if number % 500 == 499:
            gc.collect()
        try:
            outcomes.add(fuzzed_gateways.run(Case(number)))
        except Exception as error:
            raise AssertionError("Case({}): {!r}".format(number, error))

    assert outcomes > {PLANTED_KEY, OTHER_KEY, REFUSED, "ServerException", "ClientException", "UnreadableAnswer"}
