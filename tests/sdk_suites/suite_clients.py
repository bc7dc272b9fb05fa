"""The two clients of the sdk-core suite, made alike: `AcsClient` with a key, `ProxyAcsClient` with a secret that holds the same key."""
import suite_credentials
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient

KEY_ID = 'LTAI5tSuiteKeyOfTheTests'
KEY_SECRET = 'SuiteSecretOfTheTestsOnly30chr'
TOKEN = 'suite-token/of+the=tests'
ENDPOINT = '127.0.0.1'


class Original(object):
    """`AcsClient` itself."""
    name = 'AcsClient'

    @staticmethod
    def client_class():
        return AcsClient

    def make(self, *args, **kwargs):
        return self.client_class()(KEY_ID, KEY_SECRET, *args, **kwargs)

    def make_with_token(self, **kwargs):
        return self.client_class()(credential=StsTokenCredential(KEY_ID, KEY_SECRET, TOKEN), **kwargs)

    def close(self, client):
        pass


class Proxy(object):
    """`ProxyAcsClient`, whose secret is in memory."""
    name = 'ProxyAcsClient'

    @staticmethod
    def client_class():
        from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient
        return ProxyAcsClient

    def make(self, *args, **kwargs):
        secrets = suite_credentials.SecretsInMemory()
        name = secrets.add(KEY_ID, KEY_SECRET)
        # region_id is the third parameter of AcsClient, after ak and secret: so it is here, after the name and the handler
        return self.client_class()(name, None, None, None, *args, managed_credentials=suite_credentials.facade_of(secrets), **kwargs)

    def make_with_token(self, **kwargs):
        secrets = suite_credentials.SecretsInMemory()
        name = secrets.add(KEY_ID, KEY_SECRET, TOKEN)
        return self.client_class()(name, managed_credentials=suite_credentials.facade_of(secrets), **kwargs)

    def close(self, client):
        client.shutdown()


KINDS = {Original.name: Original(), Proxy.name: Proxy()}


class Maker(object):
    """Makes clients of one kind for one port, and closes them at the end."""

    def __init__(self, kind, port):
        self.kind = kind
        self._port = port
        self._made = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for client in self._made:
            self.kind.close(client)

    def __call__(self, *args, **kwargs):
        if len(args) < 5:
            kwargs.setdefault('port', self._port)
        return self._kept(self.kind.make(*args, **kwargs))

    def with_token(self, **kwargs):
        """A client with temporary credentials."""
        return self._kept(self.kind.make_with_token(port=self._port, **kwargs))

    def _kept(self, client):
        self._made.append(client)
        return client
