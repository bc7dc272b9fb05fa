"""A web application that calls ECS. It has the name of a secret, and no AccessKey."""

import os

from aliyunsdkcore.request import CommonRequest
from flask import Flask, Response

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

ECS = os.environ.get("ECS_ENDPOINT", "ecs.cn-hangzhou.aliyuncs.com")


def create_app():
    app = Flask(__name__)
    # This reads the secret, so a wrong configuration shows at start.
    client = ProxyAcsClient("my-secret", region_id="cn-hangzhou")

    @app.route("/")
    def regions():
        request = CommonRequest(
            domain=ECS, version="2014-05-26", action_name="DescribeRegions")
        answer = client.do_action_with_exception(request)
        return Response(answer, mimetype="application/json")

    @app.route("/healthz")
    def health():
        return "ok"

    return app
