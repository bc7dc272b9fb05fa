"""Several processes that share a store: worlds with one clock, one store and one Secrets Manager."""

import math
import random

from aliyun_sdk_secretsmanager_common_plugin import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, RENEWAL, Keeper
from aliyun_sdk_secretsmanager_common_plugin.keeper import actions as does
from aliyun_sdk_secretsmanager_common_plugin.keeper import events as told

from .store import Store
from .world import NAME, NEVER, NO_CONNECTION, After, World

INTERVAL = 600.0
STORE_TIMEOUT = 0.2


def version_key(version):
    return AccessKey("LTAI-{}".format(version), "secret", None, str(version))


class Process(World):
    """A process of the fleet. Its network to Secrets Manager and to the store can fail by itself.

    Attributes:
        network: "good", "bad" or "held": whether Secrets Manager answers, fails or hangs. An answer is that of the
            moment when the request began, and takes ``seconds``.
        store_mode: "works", "fails" or "hangs".
        is_deaf: whether announcements do not come.
        versions: each version of the key that readers found, in order.
    """

    def __init__(self, fleet, owner, keeper_class):
        self.keeper_class = keeper_class
        super().__init__(self._answered, refresh_interval=INTERVAL, store_timeout=STORE_TIMEOUT)
        self.fleet = fleet
        self.owner = owner
        self.shared_store = fleet.store
        self.network, self.seconds = "good", 0.02
        self.store_mode = "works"
        self.is_deaf = False
        self.versions = []
        self.askers = []

    def ask(self, *arguments, **options):
        asker = super().ask(*arguments, **options)
        self.askers.append(asker)
        return asker

    def renew_current(self):
        """Have the key rejected that readers find; return the asker, None if there is no key."""
        key = self.keys.get(NAME)
        return None if key is None else self.ask(RENEWAL, 2.0, rejected=key)

    def _answered(self, request):
        answers = {"good": version_key(self.fleet.version), "bad": NO_CONNECTION}
        return After(self.seconds, answers[self.network]) if self.network in answers else NEVER

    def _operate(self, action):
        self.operations.append(action)
        if self.store_mode == "fails":
            self._come(0.0, told.StoreEnded(action.number, error="of the test"))
        elif self.store_mode == "works":
            kind = type(action)
            event = told.StoreEnded(action.number)
            if kind is does.Take:
                event = self.shared_store.take(action, self.owner)
            elif kind is does.Share:
                self.fleet.announce(self.shared_store.share(action, self.owner))
            elif kind is does.Free:
                self.shared_store.free(action, self.owner)
            self._come(0.001, event)

    def _give_up(self, action):
        super()._give_up(action)
        if action.number in self.under_way:
            self._come(0.0, told.Ended(action.number, None, NO_CONNECTION))

    def _publish(self, action):
        super()._publish(action)
        if action.key is not None:
            self.versions.append(int(action.key.version_id))


class Fleet:
    """The processes.

    Args:
        size: how many they are.
        keeper_class: the class of their keepers.

    Attributes:
        version: the current version of the secret.
        delay: the longest time until an announcement comes, in seconds.
        announced: the latest announcements, the last one last.
    """

    def __init__(self, size, keeper_class=Keeper):
        self.version = 1
        self.delay = 0.01
        self.announced = []
        self.store = Store(lambda: self.processes[0].time)
        self.processes = [Process(self, "process {}".format(number), keeper_class) for number in range(size)]

    @property
    def monotonic(self):
        return self.processes[0].monotonic

    def requests(self):
        """Return how many requests Secrets Manager has had."""
        return sum(len(process.requests) for process in self.processes)

    def announce(self, announced):
        if announced is None:
            return
        self.announced = self.announced[-9:] + [announced]
        for process in self.processes:
            if not process.is_deaf:
                process._come(random.uniform(0.0, self.delay), announced)

    def pass_time(self, seconds):
        """Let some seconds pass for all of them at once."""
        until = self.monotonic + seconds
        while True:
            moments = [(process._next_moment(), number) for number, process in enumerate(self.processes)]
            moment, number = min((each for each in moments if each[0] is not None), default=(math.inf, 0))
            for process in self.processes:
                process._set(min(moment, until))
            if moment > until:
                return
            self.processes[number]._move_to(moment)

    def start(self):
        """Let all make the first read; return the askers."""
        return [process.ask(FIRST_READ, 10.0) for process in self.processes]

    def rotate(self):
        self.version += 1

    def renew(self):
        """Have the key of each process rejected; return the askers."""
        return [process.renew_current() for process in self.processes]
