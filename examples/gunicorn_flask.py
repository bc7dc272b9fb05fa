"""gunicorn and Flask. One client is made before the workers are forked, and its key is rotated.

    pip install gunicorn flask
    python examples/gunicorn_flask.py
"""

import os
import re
import subprocess
import sys

import requests
from ecs_describe import describe_regions
from flask import Flask
from on_local_cloud import local_cloud

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient


def create_app():
    app = Flask(__name__)
    # With --preload this is done once. The workers have the key that is read here, and sockets of their own.
    client = ProxyAcsClient("my-secret", region_id="cn-hangzhou")

    @app.route("/")
    def regions():
        answer = describe_regions(client, os.environ["ECS_ENDPOINT"])
        return "{AccessKeyId} in process {process}".format(process=os.getpid(), **answer)

    return app


def main():
    with local_cloud() as cloud:
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:0",
                   "--chdir", os.path.dirname(os.path.abspath(__file__)), "gunicorn_flask:create_app()"]
        environment = dict(os.environ, ECS_ENDPOINT=cloud.api_endpoint)
        server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, universal_newlines=True)
        try:
            url = address(server.stderr)
            for _ in range(3):
                print("signed by " + requests.get(url, timeout=60).text)
                cloud.rotate("my-secret")
        finally:
            server.terminate()
            server.communicate()


def address(log):
    """Return where gunicorn says that it listens."""
    for line in log:
        listening = re.search(r"Listening at: (http://\S+)", line)
        if listening:
            return listening.group(1)
    raise RuntimeError("gunicorn did not start")


if __name__ == "__main__":
    main()
