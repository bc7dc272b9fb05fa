"""Tasks that call ECS. All processes of the worker share one secret."""

import functools
import json
import os

from aliyunsdkcore.request import CommonRequest
from celery import Celery
from celery.signals import worker_init

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

ECS = os.environ.get("ECS_ENDPOINT", "ecs.cn-hangzhou.aliyuncs.com")

app = Celery("tasks")
app.config_from_object("celeryconfig")


@functools.lru_cache(maxsize=None)
def client():
    """Return the client of this process. The first call makes it."""
    return ProxyAcsClient("my-secret", region_id="cn-hangzhou")


@worker_init.connect
def read_secret(**event):
    client()  # once, before the pool is forked: its processes begin with this key


@app.task
def describe_regions():
    request = CommonRequest(
        domain=ECS, version="2014-05-26", action_name="DescribeRegions")
    return json.loads(client().do_action_with_exception(request).decode("utf-8"))
