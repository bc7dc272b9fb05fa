"""Clients and requests of aliyun-python-sdk-core for the local cloud."""

import json

import pytest
from aliyunsdkcore.request import CommonRequest


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def rpc(cloud):
    """Make an RPC request."""

    def make(action="DescribeRegions", method="GET", **parameters):
        request = CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name=action)
        request.set_method(method)
        for name, value in parameters.items():
            request.add_query_param(name, value)
        return request

    return make


@pytest.fixture
def roa(cloud):
    """Make an ROA request with a body."""

    def make(path="/clusters/[ClusterId]", method="POST", content=b'{"name": "a"}'):
        request = CommonRequest(domain=cloud.api_endpoint, version="2015-12-15", uri_pattern=path)
        request.set_method(method)
        request.add_path_param("ClusterId", "c-1")
        request.set_content(content)
        request.set_content_type("application/json")
        return request

    return make


@pytest.fixture
def answer():
    """Send a request and return the JSON of the answer."""

    def do(client, request):
        return json.loads(client.do_action_with_exception(request).decode("utf-8"))

    return do
