"""The watch over secrecy finds a leak in each channel: it is planted there in tests of a separate run."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SECRET, TOKEN = "PlantedSecret0123456789wxyz", "CAIS+Planted/Token==That.Nobody-May_See42"

LEAKS = r'''
import base64, json, logging, os, subprocess, sys, threading, traceback, types, urllib.parse, warnings

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from aliyun_sdk_secretsmanager_common_plugin.access_key import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.settings import ClientKeySettings, settings_from
from aliyun_sdk_secretsmanager_testing import LocalCloud

KEY = AccessKey("LTAI5tPlanted0123456789", "{secret}", "{token}")
SDK = logging.getLogger("of.an.sdk")


class Shown:
    __module__ = "aliyun_sdk_secretsmanager_planted"

    def __repr__(self):
        return "Shown(" + KEY.access_key_secret + ")"


@pytest.fixture
def shown(monkeypatch):
    module = types.ModuleType(Shown.__module__)
    module.Shown = Shown
    monkeypatch.setitem(sys.modules, Shown.__module__, module)
    return Shown()


def error():
    return ValueError("signed with " + KEY.access_key_secret)


def test_leaks_in_a_repr(shown):
    pass


def test_leaks_in_a_record_below_the_level():
    SDK.debug("signed with %s", KEY.access_key_secret)


def test_leaks_in_a_field_of_a_record():
    SDK.info("signed", extra={{"signed_with": KEY.access_key_secret}})


def test_leaks_in_a_record_of_an_exception():
    try:
        raise error()
    except ValueError:
        SDK.info("failed", exc_info=True)


def test_leaks_on_stdout():
    print(KEY.access_key_secret)


def test_leaks_on_stderr():
    print("token:", KEY.security_token, file=sys.stderr)


def test_leaks_on_stdout_that_the_test_reads(capsys):
    print(KEY.access_key_secret)
    capsys.readouterr()


def test_leaks_in_the_output_of_a_program():
    subprocess.run(["echo", KEY.access_key_secret], stdout=subprocess.PIPE)


def test_leaks_in_a_warning_that_the_test_expects():
    with pytest.warns(UserWarning):
        warnings.warn(KEY.access_key_secret)


def test_leaks_in_an_exception():
    raise error()


def test_leaks_in_an_exception_that_the_test_expects():
    with pytest.raises(ValueError):
        raise error()


def test_leaks_in_the_context_of_an_exception():
    with pytest.raises(KeyError):
        try:
            raise error()
        except ValueError:
            raise KeyError("of another kind") from None


def test_leaks_in_an_exception_of_a_thread():
    def fail():
        raise error()

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def test_leaks_in_a_traceback():
    try:
        raise error()
    except ValueError:
        traceback.print_exc()


def test_leaks_in_a_forked_child():
    child = os.fork()
    if child == 0:
        SDK.debug("signed with %s", KEY.access_key_secret)
        os._exit(0)
    os.waitpid(child, 0)


def test_leaks_in_a_thread():
    thread = threading.Thread(target=SDK.debug, args=("signed with %s", KEY.access_key_secret))
    thread.start()
    thread.join()


def test_leaks_quoted():
    print(urllib.parse.quote(KEY.security_token, safe=""))


def test_leaks_before_the_secret_is_known():
    print("a=PropertyOf" + str(0x1234567890))
    settings_from("file", {{"credentials_type": "ak", "credentials_access_key_id": "LTAI",
                            "credentials_access_secret": "PropertyOf" + str(0x1234567890)}}, gateways=False)


def test_leaks_a_password_of_a_client_key():
    print(ClientKeySettings("file", "OpenSesame" + str(12345)).password)


def test_leaks_a_key_of_a_local_cloud():
    print(LocalCloud().identity.access_key_secret)


def test_leaks_a_managed_key_of_a_local_cloud():
    print(LocalCloud().create_secret("app/key", token=True).current.security_token)


def test_leaks_a_secret_of_any_kind():
    print(LocalCloud().create_secret("app/data", secret_data="Arbitrary" + str(12345)).given().data)


def test_leaks_a_token_of_the_oidc_provider():
    print(LocalCloud().oidc_token())


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["PKCS8", "PKCS1"])
def test_leaks_a_private_key(tmp_path, form):
    file = LocalCloud().create_client_key(tmp_path, "OpenSesame1")
    with open(file.path) as opened:
        archive = base64.b64decode(json.load(opened)["PrivateKeyData"])
    key = pkcs12.load_key_and_certificates(archive, b"OpenSesame1")[0]
    print(key.private_bytes(Encoding.PEM, form, NoEncryption()).decode("ascii"))


def test_shows_nothing():
    SDK.debug("%r %s", KEY, KEY)
    print(KEY)


@pytest.mark.plain_sdks
def test_uses_a_plain_sdk():
    SDK.debug("signed with %s", KEY.access_key_secret)


@pytest.mark.plain_sdks
def test_leaks_in_a_record_of_ours():
    logging.getLogger(Shown.__module__).debug("signed with %s", KEY.access_key_secret)


def test_sees_the_levels_as_they_are(caplog):
    SDK.debug("below the level")
    SDK.warning("above it")
    assert [record.getMessage() for record in caplog.records] == ["above it"]
    caplog.set_level(logging.DEBUG)
    SDK.debug("now too")
    assert len(caplog.records) == 2
'''


def test_a_test_that_shows_a_secret_fails_and_no_other_and_the_failure_does_not_show_it(tmp_path):
    tmp_path.joinpath("test_leaks.py").write_text(LEAKS.format(secret=SECRET, token=TOKEN))
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "tests.secrecy_watch", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, universal_newlines=True, timeout=120)

    outcomes = set(re.findall(r"^(PASSED|FAILED|ERROR) \S+::(test_\w+)", run.stdout, re.MULTILINE))
    names = set(re.findall(r"^def (test_\w+)", LEAKS, re.MULTILINE))
    assert outcomes == {("FAILED" if "_leaks_" in name else "PASSED", name) for name in names}, run.stdout
    assert "********" in run.stdout
    assert SECRET not in run.stdout
    assert TOKEN not in run.stdout
