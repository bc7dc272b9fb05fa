"""Six hours in the lives of three processes, as the samples that a Prometheus would have scraped from them.

The keepers and the collector are the product's. Time, gateways, services and the shared store are those of
``tests.keeper``.
"""

import json
import random

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin.prometheus import ManagedCredentialsCollector
from tests.common.fakes import key
from tests.keeper.store import Store
from tests.keeper.world import UNAVAILABLE, World

MINUTE = 60
MINUTES = 6 * 60
# In minutes from the start.
ROTATIONS_OF_ORDERS = (60, 200)
OUTAGE = range(180, 230)
OUTAGE_OF_REDIS = range(270, 330)
DAMAGED = 60  # what Redis holds cannot be read
LIFE_OF_REPORTS = 180  # of a temporary key, which Secrets Manager replaces in the middle of its life
SECRETS = ("orders", "reports")


class Process(World):
    """A process with a client for each secret, as the collector sees it: it has ``stats()``."""

    def __init__(self, history):
        super().__init__(lambda request: history.answer(request.name), store_timeout=0.2)
        self.shared_store = history.store
        self._history = history
        for name in SECRETS:
            self.lease(name)
            self.read(name=name)

    def stats(self):
        return self.keeper.stats(self.now)

    def operated(self, action):
        ended = super().operated(action)
        return ended._replace(ignored="it is damaged") if self._history.minute == DAMAGED else ended

    def live_for_a_minute(self):
        """Let a minute pass with a call at a random moment of it, which renews a rejected key."""
        before = random.uniform(0, MINUTE)
        self.pass_time(before)
        if self.keys["orders"] != self._history.orders:
            self.renew(self.keys["orders"], name="orders")
        self.pass_time(MINUTE - before)


class History:
    """What the samples are taken from. ``samples()`` lets it happen.

    Attributes:
        began: when it begins, in seconds since the epoch.
        ended: when it ends.
        orders: the key of the secret "orders" that services accept.
        minute: which minute it is, from the start.
        store: what the processes share. They live each minute one after the other, and hear no announcements.
    """

    def __init__(self):
        self.began = World().time
        self.ended = self.began + MINUTE * MINUTES
        self.orders = key("1")
        self.minute = 0
        self.store = Store(lambda: self.began + MINUTE * self.minute)

    def answer(self, name):
        """Answer as Secrets Manager does at the moment."""
        if self.minute in OUTAGE:
            return UNAVAILABLE
        if name == "orders":
            return self.orders
        nth = 2 * self.minute // LIFE_OF_REPORTS
        expires = self.began + MINUTE * LIFE_OF_REPORTS * (nth / 2 + 1)
        return key(str(nth + 1), "a token", expires=expires)

    def samples(self):
        """Yield a line of OpenMetrics for each sample."""
        random.seed(1)
        processes = [Process(self) for _ in range(3)]
        for self.minute in range(MINUTES):
            self.store.mode = "fails" if self.minute in OUTAGE_OF_REDIS else "works"
            if self.minute in ROTATIONS_OF_ORDERS:
                self.orders = key(str(ROTATIONS_OF_ORDERS.index(self.minute) + 2))
            for at, process in enumerate(processes, 1):
                try:
                    process.live_for_a_minute()
                except (ClientException, ServerException):
                    pass  # the call failed
                for family in ManagedCredentialsCollector(process).collect():
                    for sample in family.samples:
                        yield self._line(sample, "shop-{}:9200".format(at))
        yield "# EOF\n"

    def _line(self, sample, instance):
        labels = dict(sample.labels, job="shop", instance=instance)
        return "{}{{{}}} {} {}\n".format(
            sample.name, ",".join("{}={}".format(label, json.dumps(value)) for label, value in labels.items()),
            float(sample.value), int(self.began + MINUTE * (self.minute + 1)))
