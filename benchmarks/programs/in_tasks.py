"""The time of 1,000 calls in tasks of asyncio, with V2.0 and OSS V2 clients, beside those of the plain clients."""

import asyncio
import statistics
import time

from clients import GIVEN, configure, report

TASKS = 1000
ROUNDS = 4


def openapi_clients():
    from alibabacloud_tea_openapi.client import Client
    from alibabacloud_tea_openapi.models import Config, OpenApiRequest, Params
    from darabonba.runtime import RuntimeOptions
    from Tea.model import TeaModel  # noqa: F401

    from aliyun_sdk_secretsmanager_openapi_plugin import managed

    def config(**key):
        return Config(endpoint=GIVEN["loopback"], protocol="http", **key)

    def call(client):
        return client.call_api_async(
            Params(action="DescribeRegions", version="2014-05-26", protocol="HTTP", pathname="/", method="POST",
                   auth_type="AK", style="RPC", req_body_type="formData", body_type="json"),
            OpenApiRequest(), RuntimeOptions())

    key_id, key_secret = GIVEN["key"]
    return call, Client(config(access_key_id=key_id, access_key_secret=key_secret)), managed(Client)(config(), "bench")


def oss_clients():
    from alibabacloud_oss_v2 import DeleteObjectRequest
    from alibabacloud_oss_v2.aio import AsyncClient
    from alibabacloud_oss_v2.config import Config
    from alibabacloud_oss_v2.credentials import StaticCredentialsProvider

    from aliyun_sdk_secretsmanager_oss_v2_plugin import managed

    def config(**more):
        return Config(region="cn-hangzhou", endpoint="http://" + GIVEN["loopback"], use_path_style=True, **more)

    def call(client):
        return client.delete_object(DeleteObjectRequest(bucket="bucket", key="key"))

    plain = AsyncClient(config(credentials_provider=StaticCredentialsProvider(*GIVEN["key"])))
    return call, plain, managed(AsyncClient)(config(), "bench")


async def seconds_of(call, client):
    started = time.perf_counter()
    await asyncio.gather(*(call(client) for _ in range(TASKS)))
    return time.perf_counter() - started


async def in_turn(call, *clients):
    """Return the median seconds of two clients that take turns."""
    figures = [], []
    for number in range(2 * ROUNDS + 2):
        at = (0, 1, 1, 0)[number % 4]
        seconds = await seconds_of(call, clients[at])
        if number > 1:  # the first of each opens its connections
            figures[at].append(seconds)
    for client in clients:
        if hasattr(client, "close"):
            await client.close()
    return [1e3 * statistics.median(each) for each in figures]


configure()
rows = []
for sdk, clients in (("V2.0", openapi_clients()), ("OSS V2", oss_clients())):
    rows.append(["1,000 tasks at once, " + sdk, "ms", *asyncio.run(in_turn(*clients))])
report(*rows)
