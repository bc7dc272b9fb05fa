"""An asynchronous web application that calls ECS with a V2.0 client."""

import contextlib
import os

from alibabacloud_ecs20140526.client import Client as EcsClient
from alibabacloud_ecs20140526.models import DescribeRegionsRequest
from alibabacloud_tea_openapi.models import Config
from fastapi import FastAPI, Request

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_openapi_plugin import managed

ECS = os.environ.get("ECS_ENDPOINT", "ecs.cn-hangzhou.aliyuncs.com")
PROTOCOL = os.environ.get("ECS_PROTOCOL", "https")


@contextlib.asynccontextmanager
async def lifespan(app):
    # This reads the secret, so a wrong configuration shows at start.
    await ManagedCredentials.default().get_async("my-secret")
    config = Config(endpoint=ECS, protocol=PROTOCOL)
    with managed(EcsClient)(config, secret_name="my-secret") as app.state.ecs:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def regions(request: Request):
    ecs = request.app.state.ecs
    answer = await ecs.describe_regions_async(DescribeRegionsRequest())
    return answer.body.to_map()
