"""Where the error code is found in an answer of OSS."""

import base64

import oss2
import pytest

from aliyun_sdk_secretsmanager_oss_plugin import OssAkExpireHandler

XML = b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>InvalidAccessKeyId</Code><Message>no &lt;key></Message></Error>"


def error_of_a_head(header):
    """Return the error that old versions of oss2, which read no header, make of the answer to a HEAD."""
    error = oss2.exceptions.ServerError(403, {}, b"", {})
    error.headers = {} if header is None else {"x-oss-err": header}
    return error


def test_of_an_answer_without_a_body_is_in_its_header():
    error = error_of_a_head(base64.b64encode(XML).decode("ascii"))

    assert OssAkExpireHandler().get_error_code(error) == "InvalidAccessKeyId"
    assert OssAkExpireHandler().judge_ak_expire(error)


@pytest.mark.parametrize("header", [
    None, "", "no base64!", "\u4f60", base64.b64encode(b"no XML").decode("ascii"),
    base64.b64encode(b"<Error><Code>\xff</Code></Error>").decode("ascii")],
    ids=["none", "empty", "no base64", "no ASCII", "no XML", "no text"])
def test_header_without_a_code_means_no_rejected_key(header):
    assert not OssAkExpireHandler().judge_ak_expire(error_of_a_head(header))


def test_other_exceptions_have_none():
    assert OssAkExpireHandler().get_error_code(ValueError("InvalidAccessKeyId")) is None
