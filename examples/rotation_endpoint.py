"""An endpoint for rotation events: a client has the new key before a service rejects the old one.

    python examples/rotation_endpoint.py
"""

import importlib
import os
import sys
import threading
from wsgiref.simple_server import make_server

import requests
from ecs_describe import describe_regions
from on_local_cloud import HERE, local_cloud

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

TOKEN = "in your program: openssl rand -hex 32"
# What EventBridge sends, as far as it matters.
EVENT = {
    "type": "kms:CloudMonitor:Secret[RotateSecret:Success]",
    "data": {"name": "Secret:RotateSecret:Success", "content": {"secretName": "my-secret"}},
}


def main():
    os.environ["ROTATION_EVENTS_TOKEN"] = TOKEN
    sys.path.insert(0, os.path.join(HERE, "rotation_events"))
    with local_cloud() as cloud, ProxyAcsClient("my-secret", region_id="cn-hangzhou") as client:
        server = make_server("127.0.0.1", 0, importlib.import_module("endpoint").application)
        threading.Thread(target=server.handle_request, daemon=True).start()
        print("signed by {AccessKeyId}".format(**describe_regions(client, cloud.api_endpoint)))
        cloud.rotate("my-secret", grace=600)  # services accept the old key for ten minutes
        answer = requests.post("http://127.0.0.1:{}/".format(server.server_port), json=EVENT, timeout=60,
                               headers={"x-eventbridge-signature-token": TOKEN})
        print("the endpoint answered", answer.status_code)
        print("signed by {AccessKeyId}".format(**describe_regions(client, cloud.api_endpoint)))
        print("{} rejected calls".format(sum(call.status != 200 for call in cloud.calls("api"))))


if __name__ == "__main__":
    main()
