"""``ProxyAcsClient`` passes the contract of all plugins."""

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing.plugin_contract import CopyContract, PluginContract


class TestProxyAcsClient(PluginContract, CopyContract):
    error = ServerException

    def new_client(self, service, secret_name, **arguments):
        return ProxyAcsClient(secret_name, **arguments)

    def call(self, service, client):
        client.do_action_with_exception(
            CommonRequest(domain=service.address, version="2014-05-26", action_name="DescribeRegions"))
