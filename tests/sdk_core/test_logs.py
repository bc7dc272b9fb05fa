"""What is logged when a service rejects a key: nothing that looks like a failure, unless the call fails."""

import logging

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import AccessKeyCredential
from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import RpcRequest

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.drills import loud

SDK = "aliyunsdkcore.client"


def failing(client, request):
    with pytest.raises(ServerException) as caught:
        client.do_action_with_exception(request)
    return caught.value


@pytest.fixture
def plain_records(cloud, rpc, caplog):
    """Return the records that a plain client logs when the service answers ``fault``."""

    def records(fault, times=1):
        caplog.clear()
        cloud.inject("api", fault, times=times)
        key = cloud.secret(SECRET).current
        failing(AcsClient(key.access_key_id, key.access_key_secret, "cn-hangzhou", auto_retry=False), rpc())
        return loud(caplog)

    return records


def shown(records):
    """Return the parts of records that are the same for every request."""
    return [(record.name, record.levelname, record.funcName, record.getMessage().partition(" RequestID")[0])
            for record in records]


def test_refusal_of_a_call_that_goes_on_is_told_at_info(cloud, client, rpc, caplog):
    caplog.set_level(logging.INFO)
    refused = cloud.secret(SECRET).current
    cloud.rotate(SECRET)

    client.do_action_with_exception(rpc())

    told = [record.getMessage() for record in caplog.records if "sent again" in record.getMessage()]
    assert len(told) == 1
    assert refused.access_key_id[-4:] in told[0]
    assert refused.access_key_id not in told[0]


class TestFailedCall:
    @pytest.mark.parametrize("fault", [
        Fault.status(403, "Forbidden.RAM"), Fault.status(404, "InvalidAccessKeyId.NotFound"), Fault.html(502),
    ], ids=["forbidden", "a rejected key, and no other", "no json"])
    def test_is_logged_as_by_the_plain_sdk(self, cloud, make_client, rpc, caplog, plain_records, fault):
        expected = plain_records(fault)
        caplog.clear()
        cloud.inject("api", fault, times=1)

        failing(make_client(auto_retry=False), rpc())

        assert expected
        assert shown(loud(caplog)) == shown(expected)

    def test_after_a_replay_tells_the_last_refusal_alone(self, cloud, client, rpc, caplog):
        cloud.rotate(SECRET)
        cloud.inject("api", Fault.status(404, "InvalidAccessKeyId.NotFound"), times=1)
        cloud.inject("api", Fault.status(403, "Forbidden.RAM"), times=1)

        failing(client, rpc())

        assert [call.status for call in cloud.calls("api")] == [404, 403]
        assert ["Error:Forbidden.RAM" in message for _, _, _, message in shown(loud(caplog))] == [True]

    def test_whose_renewal_fails_is_logged_once(self, cloud, client, rpc, caplog):
        cloud.rotate(SECRET)
        cloud.inject("secrets_manager", Fault.forbidden())

        failing(client, rpc())

        assert [record.name for record in loud(caplog)].count(SDK) == 1

    def test_with_a_signer_of_the_program(self, client, rpc, caplog):
        signer = AccessKeySigner(AccessKeyCredential("LTAI5tUnknownUnknown", "unknown"))

        assert client._implementation_of_do_action(rpc(), signer)[3] is not None

        assert [record.name for record in loud(caplog)] == [SDK]

    def test_leaves_the_error_as_the_plain_sdk_makes_it(self, cloud, client, rpc):
        cloud.inject("api", Fault.status(403, "Forbidden.RAM"), times=1)

        assert sorted(vars(failing(client, rpc()))) == sorted(vars(ServerException("code", "message")))


@pytest.mark.parametrize("fault", [Fault.status(503), Fault.reset()], ids=["an answer", "no answer"])
def test_what_the_sdk_itself_tries_again_stays_in_the_log(cloud, client, caplog, fault):
    request = RpcRequest("Ecs", "2014-05-26", "DescribeRegions")  # the SDK retries this action
    request.set_endpoint(cloud.api_endpoint)
    cloud.inject("api", fault, times=1)

    client.do_action_with_exception(request)

    assert [record.name for record in loud(caplog)] == [SDK]


def test_lines_of_a_plain_client_stay_while_others_are_replayed(cloud, client, rpc, caplog, in_threads):
    key = cloud.secret(SECRET).current
    plain = AcsClient(key.access_key_id, key.access_key_secret, "cn-hangzhou")
    cloud.rotate(SECRET)

    in_threads([lambda: client.do_action_with_exception(rpc()) for _ in range(4)]
               + [lambda: failing(plain, rpc()) for _ in range(4)])

    assert [record.name for record in loud(caplog)] == [SDK] * 4


class TestLoggerOfTheProgram:
    @pytest.fixture
    def logger(self):
        logger = logging.getLogger(SDK)
        filters, disabled = logger.filters[:], logger.disabled
        yield logger
        logger.filters[:], logger.disabled = filters, disabled

    def test_filter_sees_what_is_logged_and_nothing_else(self, cloud, client, rpc, logger):
        seen = []
        logger.addFilter(type("Seen", (logging.Filter,), {
            "filter": lambda self, record: seen.append(record) or True})())
        cloud.rotate(SECRET)
        client.do_action_with_exception(rpc())
        assert [record for record in seen if record.levelno >= logging.WARNING] == []
        cloud.inject("api", Fault.status(403, "Forbidden.RAM"), times=1)

        failing(client, rpc())

        assert len([record for record in seen if record.levelno >= logging.WARNING]) == 1

    def test_that_is_disabled_writes_nothing(self, cloud, client, rpc, logger, caplog):
        logger.disabled = True
        cloud.inject("api", Fault.status(403, "Forbidden.RAM"), times=1)

        failing(client, rpc())

        assert loud(caplog) == []


def test_handler_is_asked_once_about_an_error(cloud, make_client, rpc):
    judged = []

    class Judge(AKExpireHandler):
        def judge_ak_expire(self, exception):
            judged.append(exception.get_error_code())
            return True

    client = make_client(ak_expire_handler=Judge())
    client.do_action_with_exception(rpc())
    cloud.rotate(SECRET)

    client.do_action_with_exception(rpc())

    assert judged == ["InvalidAccessKeyId.NotFound"]
