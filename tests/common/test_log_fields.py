"""The fields of log lines: which secret, key and error a line is about, as texts."""

import ast
import json
import logging
import logging.handlers
import pathlib
import pickle
import re
import sys

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault
from tests import instance
from tests.conftest import SECRET

ROOT = pathlib.Path(instance.ROOT)
FIELDS = ("secret_name", "access_key_id", "version_id", "error_code")


def fields_of(record):
    return {field: getattr(record, field) for field in FIELDS if hasattr(record, field)}


@pytest.fixture
def call(cloud, credentials, closing):
    """Call the business API with a client."""
    client = closing(ProxyAcsClient(SECRET, managed_credentials=credentials))
    return lambda: client.do_action_with_exception(
        CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions"))


@pytest.fixture
def line(caplog):
    """Call it with a part of a message: returns the one record that has it."""
    caplog.set_level(logging.DEBUG, "aliyun_sdk_secretsmanager_common_plugin")

    def find(part):
        (record,) = [record for record in caplog.records if part in record.getMessage()]
        return record

    return find


def test_new_key(cloud, call, line):
    call()
    cloud.rotate(SECRET)
    call()

    new = cloud.secret(SECRET).current.access_key_id
    assert fields_of(line("rotated to")) == {
        "secret_name": SECRET, "access_key_id": new[:4] + "********" + new[-4:],
        "version_id": cloud.secret(SECRET).versions[-1].version_id}
    assert fields_of(line("the call is sent again"))["secret_name"] == SECRET


def test_failed_renewal(cloud, call, line):
    call()
    cloud.inject("secrets_manager", Fault.status(503))
    cloud.rotate(SECRET)
    with pytest.raises(ServerException):
        call()

    fields = fields_of(line("could not renew the rejected key"))
    assert fields["secret_name"] == SECRET
    assert re.match(r"\w[\w.]+$", fields["error_code"])


def test_a_record_factory_may_set_the_same_fields(cloud, call, line):
    plain = logging.getLogRecordFactory()

    def factory(*args, **kwargs):
        record = plain(*args, **kwargs)
        vars(record).update(dict.fromkeys(FIELDS, "-"))
        return record

    logging.setLogRecordFactory(factory)
    try:
        call()
        cloud.rotate(SECRET)
        call()
    finally:
        logging.setLogRecordFactory(plain)

    assert fields_of(line("rotated to"))["secret_name"] == SECRET
    assert not hasattr(line("rotated to"), "managed_credentials")


def test_every_line_about_a_secret_has_its_name_as_a_field():
    lines = [node for module in ROOT.glob("aliyun_sdk_secretsmanager_*_plugin/**/*.py")
             for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
             if isinstance(node, ast.Call) and getattr(getattr(node.func, "value", None), "id", "") == "logger"
             and node.args and "secret %r" in ast.dump(node.args[0])]

    assert len(lines) >= 12
    assert [ast.dump(node) for node in lines if "extra" not in {keyword.arg for keyword in node.keywords}] == []


class TestPage:
    """The formatter on the page about observability."""

    @pytest.fixture
    def formatter(self):
        text = (ROOT / "docs/observability.rst").read_text(encoding="utf-8")
        (block,) = [block for block in re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", text)
                    if "class JsonFormatter" in block]
        names = {}
        exec(re.sub("^   ", "", block, flags=re.M).partition("handler =")[0], names)
        return names["JsonFormatter"]()

    def test_line_is_an_object_with_the_fields(self, cloud, call, line, formatter):
        call()
        cloud.rotate(SECRET)
        call()
        shown = json.loads(formatter.format(line("rotated to")))

        assert (shown["level"], shown["logger"]) == ("INFO", "aliyun_sdk_secretsmanager_common_plugin.keeper")
        assert shown["secret_name"] == SECRET
        assert shown["access_key_id"] in shown["message"]
        assert shown["event"] == "secret %r: %s %r%s"

    def test_names_every_field(self, formatter):
        assert set(FIELDS) == set(formatter.FIELDS)

    def test_traceback_is_within_the_object(self, formatter):
        try:
            raise ValueError("wrong")
        except ValueError:
            record = logging.LogRecord("a", logging.ERROR, "file", 1, "failed", (), sys.exc_info())

        assert "ValueError: wrong" in json.loads(formatter.format(record))["traceback"]


def test_fields_can_be_sent_by_any_handler(cloud, call, line):
    call()
    cloud.rotate(SECRET)
    call()

    assert all(type(value) is str for value in fields_of(line("rotated to")).values())
    assert pickle.loads(logging.handlers.SocketHandler("127.0.0.1", 9).makePickle(line("rotated to"))[4:])
