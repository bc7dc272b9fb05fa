"""Which errors mean a rejected key to the handler for aliyun-python-sdk-core."""

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_sdk_core_plugin import SdkCoreAKExpireHandler


def test_only_a_services_answer_is_one():
    handler = SdkCoreAKExpireHandler()

    assert handler.judge_ak_expire(ServerException("InvalidAccessKeyId.Inactive", "disabled", 403))
    for error in ClientException("InvalidAccessKeyId.Inactive", "not sent"), ValueError("InvalidAccessKeyId.Inactive"):
        assert handler.get_error_code(error) is None
        assert not handler.judge_ak_expire(error)
