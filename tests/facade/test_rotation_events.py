"""``handle_rotation_event``: what it reads after an event of EventBridge or CloudMonitor, and what it makes of others."""

import gc
import json
import logging

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader, ConfigurationError, handle_rotation_event
from tests.common.fakes import Gate, Running, key

from .world import NAME, OTHER

ARN = "acs:kms:cn-hangzhou:188989715694****:secret/" + NAME
MARK = "what nobody may log"
DEEP = '{"data": ' + "[" * 30000 + "]" * 30000 + "}"


def of_cloud_monitor(outcome="Success", **more):
    """The event as CloudMonitor sends it."""
    content = {
        "eventId": MARK, "secretName": NAME, "secretType": "RAMCredentials", "secretSubType": "RamUserAccessKey",
        "RotationEntityArn": ARN, "rotationStatus": "Success", "successTime": "2026-11-30T10:00:00Z",
    }
    return dict({
        "product": "KMS", "eventTime": "20261130T100000.000+0800", "level": "INFO", "ver": "1.0", "resourceId": ARN,
        "name": "Secret:RotateSecret:" + outcome, "regionId": "cn-hangzhou", "status": "Normal", "content": content,
    }, **more)


def of_event_bridge(outcome="Success", **more):
    """The same event as EventBridge sends it."""
    return dict({
        "id": MARK, "source": "acs.kms", "specversion": "1.0", "datacontenttype": "application/json", "subject": ARN,
        "type": "kms:CloudMonitor:Secret[RotateSecret:{}]".format(outcome), "data": of_cloud_monitor(outcome),
    }, **more)


def with_content(**content):
    return of_cloud_monitor(resourceId=None, content=content)


@pytest.fixture(autouse=True)
def nothing_of_the_event_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    yield
    assert MARK not in caplog.text


@pytest.fixture
def rotated(suite):
    """The suite: its secret was read, and has another key since."""
    suite.credentials.get(NAME)
    suite.source.answer = key("B")
    del suite.source.asked[:]
    return suite


class TestSuccess:
    @pytest.mark.parametrize("event", [
        of_event_bridge(),
        of_cloud_monitor(),
        json.dumps(of_event_bridge()),
        json.dumps(of_event_bridge()).encode("utf-8"),
        json.dumps(of_cloud_monitor()).encode("utf-8"),
        of_event_bridge(data=json.dumps(of_cloud_monitor())),
        of_cloud_monitor(content=json.dumps({"secretName": NAME})),
        of_event_bridge(data={}),
        of_event_bridge(type="a type that is new"),
        of_cloud_monitor(content=None),
        with_content(secretName=NAME),
        of_cloud_monitor(resourceId=" " + ARN, content=None),
        of_event_bridge(subject=None, data={"content": json.dumps({"secretName": NAME})}),
        of_event_bridge(subject=None, data={"resourceId": ARN}),
    ], ids=["eventbridge", "cloudmonitor", "str", "bytes", "bytes of cloudmonitor", "data as text", "content as text",
            "subject alone", "name in data alone", "resourceId alone", "secretName alone",
            "resourceId with a blank", "content of data as text", "resourceId of data alone"])
    def test_reads_the_secret_that_is_held(self, rotated, event):
        assert handle_rotation_event(event) == [NAME]
        assert rotated.credentials.get(NAME) == key("B")
        assert rotated.asked() == [NAME]

    def test_reads_a_secret_that_is_held_by_its_arn(self, suite):
        suite.credentials.get(ARN)

        assert handle_rotation_event(of_event_bridge()) == [ARN]
        assert suite.asked() == [ARN, ARN]

    def test_reads_it_in_every_configuration_that_holds_it_and_in_no_other(self, rotated):
        second, third = rotated.make(), rotated.make()
        second.get(NAME)
        third.get(OTHER)
        del rotated.source.asked[:]

        assert handle_rotation_event(of_event_bridge()) == [NAME]
        assert rotated.asked() == [NAME, NAME]

    def test_leaves_other_secrets_alone(self, rotated):
        rotated.credentials.get(OTHER)
        del rotated.source.asked[:]

        handle_rotation_event(of_event_bridge())

        assert rotated.asked() == [NAME]

    def test_does_not_put_into_use_what_no_client_uses(self, rotated):
        rotated.credentials.close()

        assert handle_rotation_event(of_event_bridge()) == [NAME]
        assert rotated.refreshed() == []
        assert rotated.credentials.get(NAME) == key("B")
        assert rotated.asked() == [NAME]

    def test_that_brings_no_other_key_is_a_read_too(self, suite):
        suite.credentials.get(NAME)

        assert handle_rotation_event(of_event_bridge()) == [NAME]

    def test_while_another_thread_reads_the_secret_waits_for_nothing(self, rotated):
        gate = rotated.source.answer = Gate(key("B"))
        refreshing = Running(lambda: rotated.credentials.refresh(NAME))
        gate.wait_entered()

        assert handle_rotation_event(of_event_bridge()) == []
        gate.open()
        assert refreshing.result()

    def test_whose_read_fails_leaves_the_key_and_a_warning(self, rotated, caplog):
        rotated.source.answer = ServerException("InternalFailure", "not now", 500, "1")

        assert handle_rotation_event(of_event_bridge()) == []
        assert rotated.credentials.get(NAME) == key("a")
        assert "refresh failed, the key stays" in caplog.text


def drop_configuration_of(suite):
    suite.credentials = None
    gc.collect()
    assert suite.runtime.accounts() == []


class TestReceiver:
    """A process that holds no secret, and has secrets read for others."""

    def test_reads_what_an_event_names_once_and_schedules_nothing(self, suite):
        assert handle_rotation_event(of_event_bridge()) == [NAME]
        assert handle_rotation_event(of_cloud_monitor(resourceId=None, content={"secretName": OTHER})) == [OTHER]

        assert suite.asked() == [NAME, OTHER]
        assert suite.refreshed() == []

    def test_without_a_configuration_takes_the_default_one(self, secrets_manager, write, runtime):
        drop_configuration_of(secrets_manager)
        ConfigLoader.set_config_name(write())

        assert [handle_rotation_event(of_event_bridge()) for _ in range(2)] == [[NAME], [NAME]]
        assert secrets_manager.asked() == [NAME, NAME]
        assert len(runtime.default) == 1

    def test_without_any_configuration_says_so(self, suite, tmp_path):
        drop_configuration_of(suite)
        ConfigLoader.set_config_name(str(tmp_path / "nowhere"))

        with pytest.raises(ConfigurationError, match="nowhere"):
            handle_rotation_event(of_event_bridge())

    def test_of_several_accounts_reads_it_where_it_is(self, suite, caplog):
        def answer(asked):
            if asked.timeout == 9.0:
                raise ServerException("Forbidden.ResourceNotFound", "no such secret", 404, "1")
            return key("B")

        suite.source.answer = answer
        others = suite.make(fetch_timeout=9.0)

        assert handle_rotation_event(of_event_bridge()) == [NAME]
        assert len(suite.asked()) == 2
        assert caplog.messages.count(
            "secret 'app/key' was rotated, but cannot be read: HTTP Status: 404 Error:Forbidden.ResourceNotFound "
            "no such secret RequestID: 1") == 1
        assert others.stats().keys() == {NAME}


class TestFailure:
    @pytest.mark.parametrize("event", [of_event_bridge("Failure"), of_cloud_monitor("Failure")])
    def test_is_a_warning_and_reads_nothing(self, rotated, caplog, event):
        assert handle_rotation_event(event) == []
        assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
            "the rotation of secret 'app/key' failed, and its key stays; the KMS console says why"]
        assert rotated.asked() == []

    def test_without_a_name_is_a_warning_too(self, caplog):
        assert handle_rotation_event(of_event_bridge("Failure", subject="", data={})) == []
        assert "the rotation of secret '(without a name)' failed" in caplog.text


class TestOther:
    @pytest.mark.parametrize("event", [
        {}, of_event_bridge(type="oss:Object:PutObject", data={}), of_cloud_monitor(name="Key:Deletion:Success"),
        {"type": ["kms"], "name": {}, "data": 1}, {"data": of_event_bridge()}])
    def test_is_about_no_rotation_and_reads_nothing(self, rotated, event):
        assert handle_rotation_event(event) == []
        assert handle_rotation_event(json.dumps(event)) == []
        assert rotated.asked() == []

    @pytest.mark.parametrize("event", [
        b"", "", b"\xff\xfe", "no JSON " + MARK, b"[]", "null", "1" * 5000, "NaN", None, 5, [], ("a",), bytearray(b"{}"),
        '{"type": "\x00"}', json.dumps(of_event_bridge(padding=" " * 65536)), "{}" + " " * 65536, "[" * 60000,
    ], ids=lambda event: repr(event)[:20])
    def test_is_an_error_about_the_event(self, suite, event):
        with pytest.raises(ValueError, match="the event is no JSON object of at most 65536 bytes") as caught:
            handle_rotation_event(event)
        assert MARK not in str(caught.value) and caught.value.__context__ is None
        assert suite.asked() == []

    def test_that_is_deep_hurts_nobody(self, suite):
        with pytest.raises(ValueError, match="the event is no JSON object"):
            handle_rotation_event(DEEP)
        assert handle_rotation_event({"data": DEEP, "content": DEEP}) == []

    @pytest.mark.parametrize("name", [
        None, "", " ", 5, ["a"], {}, "a\nb", "\x1b[2J", "\ud800", "a" * 257, "LTAI5tIdentity0123456789", True])
    def test_success_without_a_name_is_an_error_about_the_event(self, suite, name, caplog):
        for event in (with_content(secretName=name), of_event_bridge(subject=name, data={"resourceId": name})):
            with pytest.raises(ValueError, match="the event says that a secret was rotated, but names none") as caught:
                handle_rotation_event(event)
            assert "LTAI5tIdentity0123456789" not in str(caught.value) + caplog.text
        assert suite.asked() == []

    @pytest.mark.parametrize("arn", ["acs:kms:cn-hangzhou:1:key/abc", "acs:kms:cn-hangzhou:1:secret/", "acs:kms:", NAME])
    def test_subject_that_is_no_arn_of_a_secret_is_no_name(self, suite, arn):
        with pytest.raises(ValueError, match="names none"):
            handle_rotation_event(of_event_bridge(subject=arn, data={}))
