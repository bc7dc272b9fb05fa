"""The clients that the programs measure: the SDK's own, and the plugin's or a peer's of the environment.

They use only what users know of the suite, so that they run with the plugins 0.1.4, too.
"""

import datetime
import json
import os
import time
import urllib.request

GIVEN = json.loads(os.environ["BENCH"])
NAME = "bench"


def plain_client():
    """Return the SDK's own client."""
    from aliyunsdkcore.client import AcsClient

    return keep_connections(AcsClient(*GIVEN["key"]))


def proxy_client(secret_name=NAME):
    """Return the plugin's client."""
    from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient

    configure()
    return keep_connections(ProxyAcsClient(secret_name))


def configure():
    from aliyun_sdk_secretsmanager_common_plugin.utils.config_loader import ConfigLoader

    ConfigLoader.set_config_name(GIVEN["properties"])


def keep_connections(client):
    """Let each of 64 threads keep its connection; the plugins 0.1.4 have no ``pool_size``."""
    from aliyunsdkcore.vendored.requests.adapters import HTTPAdapter

    client.session.mount("http://", HTTPAdapter(pool_maxsize=64))
    return client


def request(domain=GIVEN["loopback"]):
    """Return a small request."""
    from aliyunsdkcore.request import CommonRequest

    return CommonRequest(domain=domain, version="2014-05-26", action_name="DescribeRegions")


def call(client, domain=GIVEN["loopback"]):
    client.do_action_with_exception(request(domain))


def control(path, body=None):
    """Ask the controls of the local cloud."""
    data = None if body is None else json.dumps(body).encode("ascii")
    with urllib.request.urlopen(GIVEN["control"] + path, data) as answer:
        return json.loads(answer.read().decode("utf-8"))


def reader():
    """Return a function that reads a cached key in this environment, and its arguments."""
    return READERS[GIVEN["who"]]()


def ours():
    from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

    configure()
    credentials = ManagedCredentials.default()
    credentials.get(NAME)
    return credentials.get, NAME


def existing():
    from aliyun_sdk_secretsmanager_common_plugin.aliyun_sdk_secretsmanager_plugins_manager import (
        AliyunSdkSecretsManagerPluginsManager as Manager,
    )

    proxy_client()
    return Manager.get_secret_info, NAME


def alibabacloud_credentials():
    from alibabacloud_credentials.client import Client
    from alibabacloud_credentials.models import Config

    client = Client(Config(type="credentials_uri", credentials_uri=GIVEN["credentials_uri"]))
    client.get_credential()
    return (client.get_credential,)


def botocore():
    from botocore.credentials import RefreshableCredentials

    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=6)
    return (RefreshableCredentials("id", "secret", "token", end, None, "bench").get_frozen_credentials,)


def aws_secretsmanager_caching():
    from aws_secretsmanager_caching import SecretCache

    class Service:
        def describe_secret(self, **_):
            return {"VersionIdsToStages": {"1": ["AWSCURRENT"]}}

        def get_secret_value(self, **_):
            return {"SecretString": json.dumps(dict(zip(("id", "secret"), GIVEN["key"])))}

    cache = SecretCache(client=Service())
    cache.get_secret_string(NAME)
    return cache.get_secret_string, NAME


READERS = {
    "ours": ours,
    "0.1.4": existing,
    "alibabacloud-credentials": alibabacloud_credentials,
    "botocore": botocore,
    "aws-secretsmanager-caching": aws_secretsmanager_caching,
}


def seconds_of(function, *arguments):
    """Return the seconds of one call."""
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def report(*rows):
    """Print the rows for the benchmark: what was measured, the unit, the plain figure, the other figure."""
    print(json.dumps(rows))
