"""The client that all views share."""

import functools

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient


@functools.lru_cache(maxsize=None)
def client():
    """Return the client of this process. The first call makes it."""
    return ProxyAcsClient("my-secret", region_id="cn-hangzhou")
