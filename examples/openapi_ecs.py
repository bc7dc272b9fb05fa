"""A V2.0 client of ECS, in a thread and in tasks, and an ``AcsClient``, with one secret, which is rotated meanwhile.

    python examples/openapi_ecs.py
"""

import asyncio

from alibabacloud_ecs20140526.client import Client as EcsClient
from alibabacloud_ecs20140526.models import DescribeRegionsRequest
from alibabacloud_tea_openapi.models import Config
from ecs_describe import describe_regions
from on_local_cloud import local_cloud

from aliyun_sdk_secretsmanager_openapi_plugin import managed
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient


async def in_tasks(client):
    answers = await asyncio.gather(*[client.describe_regions_async(DescribeRegionsRequest()) for _ in range(10)])
    print("{} answers".format(len(answers)))


def main():
    with local_cloud() as cloud:
        # For ECS itself: Config(region_id="cn-hangzhou").
        config = Config(endpoint=cloud.api_endpoint, protocol="http")
        with managed(EcsClient)(config, secret_name="my-secret") as client, ProxyAcsClient("my-secret") as older:
            print(client.describe_regions(DescribeRegionsRequest()).status_code)
            cloud.rotate("my-secret")
            asyncio.run(in_tasks(client))
            print("{Action}, signed by {AccessKeyId}".format(**describe_regions(older, cloud.api_endpoint)))
            print("{} reads of the secret".format(len(cloud.calls("secrets_manager"))))


if __name__ == "__main__":
    main()
