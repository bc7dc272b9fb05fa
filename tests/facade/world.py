"""What the tests of the facade share."""

from aliyun_sdk_secretsmanager_common_plugin import DefaultAKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.settings import IdentitySettings, Settings
from tests.common.fakes import Source, key
from tests.conftest import wait_until

NAME = "app/key"
OTHER = "other/key"
A, B, C = key("A"), key("B"), key("C")
IDENTITY_SECRET = "TheSecretThatNobodyMaySee42"


class Client:
    """A plugin's client, as far as the facade knows it."""

    def __init__(self, credentials, name=NAME, after_fork=lambda client: None):
        self.lease = credentials.lease(self, name, DefaultAKExpireHandler(), after_fork)

    def key(self):
        return self.lease.access_key()


class Suite:
    """A facade over a scripted source: each secret's key is named by the first letter of the secret."""

    def __init__(self, clock, runtime):
        self.clock = clock
        self.runtime = runtime
        self.source = Source(lambda asked: key(asked.name[0]))
        self.credentials = self.make()

    def make(self, source=None, **settings):
        identity = IdentitySettings("ak", "LTAI5tIdentity0123456789", IDENTITY_SECRET)
        return ManagedCredentials(Settings(identity, **settings), source or self.source)

    def client(self, name=NAME, **options):
        return Client(self.credentials, name, **options)

    def asked(self):
        return [asked.name for asked in self.source.asked]

    def advance(self, seconds):
        self.clock.advance(seconds)
        self.runtime.wake()

    def settle(self):
        """Wait until the owner has taken all events up to now."""
        self.credentials._account.preload((), wait=True)

    def refreshed(self, credentials=None):
        """Return the names of the secrets that are going to be refreshed."""
        self.settle()
        stats = (credentials or self.credentials).stats()
        return sorted(name for name, of_secret in stats.items() if of_secret.next_refresh is not None)

    def thread(self):
        return self.runtime.thread()

    def thread_ends(self):
        """Wait until the owner's thread is gone, as it is when no secret is in use."""
        wait_until(lambda: self.thread() is None)
        return True
