"""``ProxyOTSClient``: an ``OTSClient`` of Tablestore that signs with a managed RAM credential."""

import copy

from tablestore import OTSClient, OTSServiceError
from tablestore.connection import ConnectionPool
from tablestore.credentials import StaticCredentialsProvider

from aliyun_sdk_secretsmanager_common_plugin import DefaultAKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.secrecy import filter_loggers

filter_loggers("tablestore-client")  # at DEBUG it logs the token


class OTSAKExpireHandler(DefaultAKExpireHandler):
    """Judges an ``OTSServiceError`` by its code."""

    DEFAULT_CODES = ("OTSAuthFailed",)

    def get_error_code(self, exception):
        return exception.get_error_code() if isinstance(exception, OTSServiceError) else None


class ProxyOTSClient(OTSClient):
    """An ``OTSClient`` that is given the name of a secret instead of an AccessKey."""

    def __init__(
        self, secret_name, end_point, instance_name, ak_expire_handler=None, managed_credentials=None, **arguments
    ):
        # The SDK requires a key here; this one signs nothing.
        unused = StaticCredentialsProvider("", "")
        super().__init__(end_point, instance_name=instance_name, credentials_provider=unused, **arguments)
        credentials = managed_credentials or ManagedCredentials.default()
        handler = OTSAKExpireHandler() if ak_expire_handler is None else ak_expire_handler
        self._lease = credentials.lease(self, secret_name, handler, _after_fork_in_child)

    def _request_helper(self, *args, **kwargs):
        return self._replay("_request_helper", args, kwargs)

    def _vectors_request_helper(self, *args, **kwargs):
        return self._replay("_vectors_request_helper", args, kwargs)

    def _replay(self, helper, args, kwargs):
        def send(access_key):
            attempt = copy.copy(self)
            attempt.credentials_provider = StaticCredentialsProvider(
                access_key.access_key_id, access_key.access_key_secret, access_key.security_token
            )
            return getattr(super(ProxyOTSClient, attempt), helper)(*args, **kwargs)

        return self._lease.replay(send)

    def shutdown(self):
        self._lease.close()
        self.connection.pool.clear()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.shutdown()


def _after_fork_in_child(client):
    client.connection = ConnectionPool(
        client.host, client.path, client.socket_timeout, client.max_connection, client.ssl_version
    )
