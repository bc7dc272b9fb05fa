"""AcsClient, oss2, a V2.0 client of ECS and a client of OSS V2, with one secret, which is rotated meanwhile.

    python examples/four_sdks.py
"""

from alibabacloud_ecs20140526.client import Client as EcsClient
from alibabacloud_ecs20140526.models import DescribeRegionsRequest
from alibabacloud_oss_v2 import Client as OssClient
from alibabacloud_oss_v2 import GetObjectRequest
from alibabacloud_oss_v2.config import Config as OssConfig
from alibabacloud_tea_openapi.models import Config
from ecs_describe import describe_regions
from on_local_cloud import local_cloud

from aliyun_sdk_secretsmanager_openapi_plugin import managed
from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
from aliyun_sdk_secretsmanager_oss_v2_plugin import managed as managed_oss
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient


def main():
    with local_cloud() as cloud:
        cloud.create_bucket("my-bucket")
        # For ECS and OSS themselves: region_id="cn-hangzhou", and region="cn-hangzhou" without an endpoint.
        config = Config(endpoint=cloud.api_endpoint, protocol="http")
        oss_config = OssConfig(region="cn-hangzhou", endpoint=cloud.oss_endpoint)
        with ProxyAcsClient("my-secret") as acs_client, \
                ProxyBucket("my-secret", cloud.oss_endpoint, "my-bucket") as bucket, \
                managed(EcsClient)(config, "my-secret") as ecs, \
                managed_oss(OssClient)(oss_config, "my-secret") as oss:
            for _ in range(2):
                print("{Action}, signed by {AccessKeyId}".format(**describe_regions(acs_client, cloud.api_endpoint)))
                bucket.put_object("hello.txt", b"hello")
                print(ecs.describe_regions(DescribeRegionsRequest()).status_code)
                print(oss.get_object(GetObjectRequest("my-bucket", "hello.txt")).body.content)
                cloud.rotate("my-secret")
            print("{} reads of the secret".format(len(cloud.calls("secrets_manager"))))


if __name__ == "__main__":
    main()
