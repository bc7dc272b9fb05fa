"""``ProxyLogClient``: a ``LogClient`` of Simple Log Service that signs with a managed RAM credential."""

import copy

from aliyun.log import LogClient, LogException
from aliyun.log.auth import make_auth
from aliyun.log.credentials import StaticCredentialsProvider

from aliyun_sdk_secretsmanager_common_plugin import DefaultAKExpireHandler, ManagedCredentials, fresh_sockets


class LogAKExpireHandler(DefaultAKExpireHandler):
    """Judges a ``LogException`` by its code."""

    DEFAULT_CODES = ("Unauthorized", "InvalidAccessKeyId", "InvalidAccessKeyId.NotFound", "SecurityToken.Expired")

    def get_error_code(self, exception):
        # "Unauthorized" is a valid key that lacks a permission, too.
        if isinstance(exception, LogException) and "denied by sts or ram" not in exception.get_error_message():
            return exception.get_error_code()
        return None


class ProxyLogClient(LogClient):
    """A ``LogClient`` that is given the name of a secret instead of an AccessKey."""

    def __init__(self, secret_name, endpoint, ak_expire_handler=None, managed_credentials=None, **arguments):
        super().__init__(endpoint, **arguments)
        credentials = managed_credentials or ManagedCredentials.default()
        handler = LogAKExpireHandler() if ak_expire_handler is None else ak_expire_handler
        self._lease = credentials.lease(self, secret_name, handler, lambda client: fresh_sockets(client._session))

    def _send(self, *args, **kwargs):
        def send(access_key):
            provider = StaticCredentialsProvider(
                access_key.access_key_id, access_key.access_key_secret, access_key.security_token
            )
            attempt = copy.copy(self)
            attempt._auth = make_auth(provider, self._auth_version, self._region)
            return super(ProxyLogClient, attempt)._send(*args, **kwargs)

        return self._lease.replay(send)

    def shutdown(self):
        self._lease.close()
        self._session.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.shutdown()
