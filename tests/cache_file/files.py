"""Helpers of the tests: secrets, and functions that write and inspect cache files."""

import json
import os

from aliyun_sdk_secretsmanager_common_plugin.secret_info import SecretInfo
from tests.common.fakes import PATIENCE

NAME, OTHER = "app/key", "other/\u5bc6\u94a5"
PASSWORD = "ThePasswordThatNobodyMaySee"
# The last one cannot be encoded in UTF-8. An environment variable may have such a value.
PASSWORDS = [PASSWORD, "\u5bc6\u7801", "pass\udcffword"]


def secret(version, name=NAME):
    """Return a version of a secret. ``shows_a_secret`` recognizes its value."""
    return SecretInfo.from_answer(name, {
        "VersionId": "version-{}".format(version),
        "SecretData": json.dumps({"AccessKeyId": "LTAI5t0123456789{}".format(version),
                                  "AccessKeySecret": "secret-of-{}".format(version),
                                  "SecurityToken": "token-of-{}".format(version)}),
        "SecretDataType": "text",
        "SecretType": "RAMCredentials",
        "ExtendedConfig": '{"SecretSubType": "RamUserAccessKey"}',
        "NextRotationDate": "2026-11-28T10:00:00Z",
    })


def shows_a_secret(text):
    return any(word in text for word in ("secret-of", "token-of", "LTAI5t", PASSWORD))


def write(file, *secrets):
    """Store secrets, and wait until they are written."""
    for each in secrets:
        file.keep_secret(each)
    wait(file)


def wait(file):
    writer = None
    while file._writer is not writer:
        writer = file._writer
        writer.join(PATIENCE)
        assert not writer.is_alive(), "still writing"


def state_of(path):
    status = os.lstat(path)
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime


def content_of(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, content):
    with open(path, "wb") as file:
        file.write(content)


def version_in(file):
    return int(file.recover_get_secret(NAME).secret_info.version_id.rpartition("-")[2])
