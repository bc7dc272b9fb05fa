"""A handler and error codes of the program's own."""

import itertools

import oss2
from aliyunsdkcore.acs_exception.exceptions import ServerException
from local_cloud import ENDPOINTS, create_bucket, create_secret, describe_regions, error_of, rotate, show

from aliyun_sdk_secretsmanager_common_plugin.ak_expire_handler import AKExpireHandler
from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler
from aliyun_sdk_secretsmanager_oss_plugin.oss_ak_expire_handler import OssAkExpireHandler
from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient
from aliyun_sdk_secretsmanager_sdk_core_plugin.sdk_core_ak_expire_handler import SdkCoreAKExpireHandler


class Judge(AKExpireHandler):
    judged = []

    def judge_ak_expire(self, exception):
        code = exception.get_error_code() if isinstance(exception, ServerException) else exception.details.get("Code")
        self.judged.append(code)
        return code.startswith("InvalidAccessKeyId")


class Codes(DefaultAKExpireHandler):
    def get_error_code(self, exception):
        return exception.get_error_code()

    def get_ak_expire_code(self):
        return "InvalidAccessKeyId.NotFound"


numbers = itertools.count()


def calls_after_rotation(handler):
    secret, _ = create_secret("call {}".format(next(numbers)))
    client = ProxyAcsClient(secret_name=secret, ak_expire_handler=handler, region_id="cn-hangzhou")
    rotate(secret)
    return error_of(describe_regions, client)


def gets_after_rotation(handler):
    secret, _ = create_secret("bucket {}".format(next(numbers)))
    bucket = ProxyBucket(secret, ENDPOINTS["oss_endpoint"], name, ak_expire_handler=handler)
    rotate(secret)
    return error_of(bucket.list_objects)


name = create_bucket()
show("call, judged by a handler", calls_after_rotation(Judge()))
show("bucket, judged by a handler", gets_after_rotation(Judge()))
show("what was judged", Judge.judged)
show("call, judged by codes of a subclass", calls_after_rotation(Codes()))
show("call, judged by a code", calls_after_rotation(SdkCoreAKExpireHandler("InvalidAccessKeyId.NotFound")))
show("call, judged by another code", calls_after_rotation(SdkCoreAKExpireHandler("SomethingElse")))
show("call, judged by no code", calls_after_rotation(SdkCoreAKExpireHandler("")))
show("bucket, judged by a code", gets_after_rotation(OssAkExpireHandler("InvalidAccessKeyId")))
show("bucket, judged by another code", gets_after_rotation(OssAkExpireHandler("SomethingElse")))
error = oss2.exceptions.ServerError(403, {}, b"", {"Code": "InvalidAccessKeyId"})
show("code of an error of OSS", OssAkExpireHandler().get_error_code(error))
show("code of another error", OssAkExpireHandler().get_error_code(ValueError()))
show("codes of sdk-core", SdkCoreAKExpireHandler().get_ak_expire_code())
show("codes of OSS", OssAkExpireHandler().get_ak_expire_code())
