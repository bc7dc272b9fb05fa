"""ECS: the regions, before and after a rotation.

    python examples/ecs_describe.py
"""

import json

from aliyunsdkcore.request import CommonRequest
from on_local_cloud import local_cloud

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient


def describe_regions(client, endpoint="ecs.aliyuncs.com"):
    request = CommonRequest(domain=endpoint, version="2014-05-26", action_name="DescribeRegions")
    return json.loads(client.do_action_with_exception(request).decode("utf-8"))


def main():
    with local_cloud() as cloud, ProxyAcsClient("my-secret", region_id="cn-hangzhou") as client:
        for _ in range(2):
            answer = describe_regions(client, cloud.api_endpoint)
            print("{Action}, signed by {AccessKeyId}".format(**answer))
            cloud.rotate("my-secret")


if __name__ == "__main__":
    main()
