"""A function that calls ECS."""

import collections
import os

from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

ECS = os.environ.get("ECS_ENDPOINT", "ecs-vpc.cn-hangzhou.aliyuncs.com")
Key = collections.namedtuple("Key", "access_key_id access_key_secret security_token")


class FunctionRole:
    """Gives the temporary credentials of the function's role."""

    context = None

    def get_credentials(self):
        # Runtimes up to Python 3.10 give each call fresh ones.
        if hasattr(self.context, "credentials"):
            return self.context.credentials
        return Key(
            os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
            os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
            os.environ["ALIBABA_CLOUD_SECURITY_TOKEN"],
        )


role = FunctionRole()
client = ProxyAcsClient(
    "my-secret", region_id="cn-hangzhou",
    managed_credentials=ManagedCredentials.from_properties(identity=role))


def handler(event, context):
    role.context = context
    request = CommonRequest(
        domain=ECS, version="2014-05-26", action_name="DescribeRegions")
    return client.do_action_with_exception(request)
