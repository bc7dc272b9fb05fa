"""Random properties files: each is read, or an error of ours is raised, and no secret is shown.

A case is made of its number alone: ``run(number, ...)`` does it again.
"""

import json
import logging
import random

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials, ManagedCredentialsError
from aliyun_sdk_secretsmanager_common_plugin.settings import CREDENTIALS_TYPES, KEYS, load_settings
from aliyun_sdk_secretsmanager_common_plugin.stores import cache_file
from tests.common.fakes import everything_in

# The first ones cannot be in the name of a host.
SECRETS = ["Pl4nted+Secret/{:04d}=x".format(number * 7919 % 10000) for number in range(4)] + [
    "Pl4ntedSecret{:012d}X".format(number * 7919) for number in range(4)]
# Keys whose right values may be shown, so that no secret alone is planted there.
NAMES = ("secret_names", "cache_file_path", "credentials_role_name", "credentials_uri")

FIRST_CASES = 1000
CASES = 100000
BATCH = 5000


class Case:
    """One properties file, with the variables that go with it."""

    def __init__(self, number):
        self._random = random.Random(number)
        self.variables = {}

    def secret(self):
        return self._random.choice(SECRETS)

    def text(self):
        """Return the content of the file, in bytes."""
        lines = ["{}={}".format(*item) for item in self._values().items()]
        for _ in range(self._random.choice((0, 0, 0, 1, 3))):
            self._break_lines(lines)
        content = self._random.choice(("\n", "\n", "\r\n")).join(lines).encode("utf-8", "surrogatepass")
        for _ in range(self._random.choice((0, 0, 0, 0, 0, 0, 1, 2))):
            at = self._random.randint(0, len(content))
            content = content[:at] + self._random.choice(
                (b"\0", b"\xff", b"\\\n", b"\n", b"=", b"\xef\xbb\xbf", b"'", b'"', b"<", b"\x1b")) + content[at:]
        return content

    def _values(self):
        values = {
            "credentials_type": self._random.choice(CREDENTIALS_TYPES),
            "credentials_access_key_id": "LTAI5tFuzzFuzzFuzz012345",
            "credentials_access_secret": self.secret(),
            "credentials_access_token_id": "LTAI5tFuzzFuzzFuzz012345",
            "credentials_access_token": self.secret(),
            "credentials_security_token": self.secret(),
            "credentials_role_arn": "acs:ram::1:role/app",
            "credentials_role_session_name": "app",
            "credentials_oidc_provider_arn": "acs:ram::1:oidc-provider/app",
            "credentials_oidc_token_file_path": "secret",
            "credentials_uri": "http://127.0.0.1:1/" + self.secret(),
            "client_key_private_key_path": self._random.choice(("key.json", "secret")),
            "client_key_password_from_file_path": "secret",
            "cache_client_region_id": self._regions(("regionId", "endpoint", "vpc", "caFilePath")),
        }
        if self._random.random() < 0.4:
            values["cache_client_dkms_config_info"] = self._regions((
                "regionId", "endpoint", "clientKeyFile", "passwordFromFilePath", "passwordFromFilePathName",
                "passwordFromEnvVariable", "ignoreSslCerts", "caFilePath"))
        if self._random.random() < 0.3:
            values.update(cache_file_path="keys.cache", cache_file_password_from_file_path="secret")
        if self._random.random() < 0.3:
            urls = ("redis://{}@127.0.0.1:1/0", "rediss://:{}@127.0.0.1/", "unix://a:{}@/a", "redis://127.0.0.1:1")
            values.update(shared_store_url=self._random.choice(urls).format(self.secret()),
                          shared_store_password_from_file_path="secret", shared_store_prefix="{a} b")
        for _ in range(self._random.choice((0, 1, 1, 2, 5))):
            key = self._random.choice(KEYS)
            if self._random.random() < 0.2:
                values.pop(key, None)
            elif self._random.random() < 0.2:
                self.variables[key] = self._wrong(key).replace("\0", "").encode("utf-8", "replace").decode("utf-8")
            else:
                values[key] = self._wrong(key)
        items = list(values.items())
        self._random.shuffle(items)
        return dict(items)

    def _regions(self, fields):
        right = {
            "regionId": "cn-hangzhou", "endpoint": "kms.example.com:8443", "vpc": True, "ignoreSslCerts": False,
            "clientKeyFile": "key.json", "passwordFromFilePath": "secret", "passwordFromEnvVariable": "FUZZ_PASSWORD",
            "passwordFromFilePathName": "client_key_password_from_file_path", "caFilePath": None}
        regions = [{field: right[field] for field in fields} for _ in range(self._random.choice((1, 1, 2)))]
        for _ in range(self._random.choice((0, 0, 1, 2))):
            region = self._random.choice(regions)
            if self._random.random() < 0.8:
                value = self._wrong("")
                try:
                    region[self._random.choice(fields)] = json.loads(value)
                except (ValueError, RecursionError):
                    region[self._random.choice(fields + (self.secret(),))] = value
            else:
                region.pop(self._random.choice(fields), None)
        text = json.dumps(regions)
        if self._random.random() < 0.1:
            at = self._random.randint(0, len(text))
            text = text[:at] + self._random.choice(("[" * 3000, "9" * 6000, SECRETS[0], "\\\n", "\n", '"')) + text[at:]
        return text

    def _wrong(self, key):
        """Return a value that is probably wrong, without a secret for keys whose right values may be shown."""
        secret = "harmless" if key in NAMES else self.secret()
        host = "sts.example.com" if key in NAMES else "kms.example.com"  # a password elsewhere, in another case
        return self._random.choice((
            secret, secret, '"{}"'.format(secret), "'{}'".format(secret), "<{}>".format(secret), "#{}#".format(secret),
            "/" + secret, "no/where/" + secret, "./", "..", "/", "/dev/null", "/dev/zero", "pipe", "key.json", "secret",
            "", "0", "-1", "9" * 400, "1e400", "NaN", "null", "true", "[]", "{}", "[[[]]]", "{" * 5000,
            "[" * 50000, json.dumps([secret]), json.dumps({secret: secret}), json.dumps([{"regionId": secret}]),
            "a\tb", "\x1b[31m" + secret, "\x7f", "\u2028" + secret, "https://" + secret, secret + ":0",
            host + ":0", host + ":99999", "kms..example.com", "[::1", "[::1]:443", secret + "\\",
            "FUZZ_PASSWORD", "NOT_SET_" + "A" * 3, "bearer", "{0}=={0}".format(secret), "LTAI5tFuzzFuzzFuzz012345"))

    def _break_lines(self, lines):
        at = self._random.randrange(len(lines))
        line = lines[at]
        lines[at:at + 1] = self._random.choice((
            [line + "\\"], [line + "\\"], [line.replace("=", ": ", 1)], [line.replace("=", "", 1)], ["=" + line],
            [line, line], [], [line, self.secret()], [line, self.secret() + "=="], [line, self.secret() + "=" + self.secret()],
            ["# " + line], ["! " + line + "\\"], [line[:len(line) // 2], line[len(line) // 2:]], [line.upper()],
            [line.replace("_", "-")], ["export " + line], ["  " + line + " \\", "  \\", ""], [line[1:]]))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs cases and returns the problem of the first one that has any."""
    records = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = records.append
    logger = logging.getLogger("aliyun_sdk_secretsmanager_common_plugin")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    monkeypatch.setattr(cache_file, "COST", {"n": 2, "r": 8, "p": 1})
    monkeypatch.setenv("FUZZ_PASSWORD", SECRETS[0])
    (tmp_path / "secret").write_text(SECRETS[1] + "\n")
    (tmp_path / "key.json").write_text(json.dumps({"KeyId": "KAAP.1", "PrivateKeyData": SECRETS[2]}))
    (tmp_path / "pipe").mkdir()
    path = str(tmp_path / "fuzz.properties")

    def outcome(number):
        """Return all text that a case shows."""
        case = Case(number)
        with open(path, "wb") as file:
            file.write(case.text())
        with monkeypatch.context() as patches:
            for variable, value in case.variables.items():
                patches.setenv(variable, value)
            del records[:]
            try:
                settings = load_settings(path)
                shown = ["{!r} {}".format(each, each) for each in (
                    settings, settings.identity, settings.cache_file, settings.shared_store)
                    + settings.shared_gateways + settings.dedicated_gateways]
                with ManagedCredentials(settings) as credentials:
                    shown += [repr(each) for each in (credentials, credentials._account._backends.gateways, credentials._cache_file)]
            except ManagedCredentialsError as error:
                shown = [everything_in(error)]
        for record in records:
            shown += [record.getMessage(), everything_in(record.exc_info[1]) if record.exc_info else ""]
        return "\n".join(shown)

    def cases(numbers):
        for number in numbers:
            try:
                shown = outcome(number)
            except Exception as error:
                pytest.fail("case {} raises a {}".format(number, type(error).__name__), pytrace=True)
            assert not [secret for secret in SECRETS if secret in shown], "case {} shows a secret".format(number)

    yield cases
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.slow
def test_first_cases_raise_errors_of_the_suite_alone_and_show_no_secret(run):
    run(range(FIRST_CASES))


@pytest.mark.matrix
@pytest.mark.parametrize("begin", range(0, CASES, BATCH))
def test_all_cases_raise_errors_of_the_suite_alone_and_show_no_secret(run, begin):
    run(range(begin, begin + BATCH))
