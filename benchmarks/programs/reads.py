"""Reads of a cached key beside those of a dictionary, and signatures of the client beside the SDK's, by pyperf."""

import pyperf
from clients import GIVEN, NAME, plain_client, proxy_client, reader

runner = pyperf.Runner()
runner.bench_func("read a cached key|plain", {NAME: GIVEN["key"]}.get, NAME)
runner.bench_func("read a cached key|other", *reader())
if GIVEN["who"] in ("ours", "0.1.4"):
    from aliyunsdkcore.request import RpcRequest

    def sign(client):
        client._signer.sign("cn-hangzhou", RpcRequest("Ecs", "2014-05-26", "DescribeRegions"))

    runner.bench_func("a request signed by the client's signer|plain", sign, plain_client())
    runner.bench_func("a request signed by the client's signer|other", sign, proxy_client())
