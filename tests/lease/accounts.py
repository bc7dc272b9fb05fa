"""Accounts for leases: one whose keeper decides at once, and one whose renewals are scripted."""

import logging
import threading

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL, Keeper, Now, Renewal
from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Answer, Log, Publish, Request
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Accepted, Asked, Closed, Ended, Ticked


class StubAccount:
    """An account without threads: a keeper over a scripted source, asked and answered in the calling thread.

    Args:
        source: what answers.
        clock: moves on where the keeper waits.

    Attributes:
        signatures: the secrets of which somebody said that they sign with its key.
        renewals: the secrets and keys of the renewals that nobody waits for.
    """

    def __init__(self, source, clock):
        self._source = source
        self._clock = clock
        self._keeper = Keeper([source], 3600.0, 2.0)
        self._keys = {}
        self._turn = threading.RLock()  # as in the runtime, one thread at a time may use the keeper
        self.signatures = []
        self.renewals = []

    def published_key(self, name):
        return self._keys.get(name)

    def held_key(self, name):
        return self._keeper.key(name)

    def signed(self, name):
        self.signatures.append(name)

    def begin_renewal(self, name, rejected):
        self.renewals.append((name, rejected))

    def get(self, name):
        return self._keys.get(name) or self._ask(FIRST_READ, name, 10.0)

    async def get_async(self, name):
        return self.get(name)

    def renew(self, name, rejected):
        return self._keeper.renewal(name, rejected, self._now()) or self._ask(RENEWAL, name, 2.0, rejected)

    async def renew_async(self, name, rejected):
        return StubAccount.renew(self, name, rejected)

    def renew_elsewhere(self, name, rejected):
        """Let another client renew the key."""
        StubAccount.renew(self, name, rejected)

    def accepted(self, name, key):
        self._take(Accepted(name, key))

    def store(self, name, key):
        """Let another thread's refresh bring a key."""
        answer, self._source.answer = self._source.answer, key
        assert self._ask(REFRESH, name, 2.0)
        self._source.answer = answer
        self._source.asked.pop()

    def retire(self):
        """Let another thread shut the last client down."""
        self._take(Closed())

    def _now(self):
        return Now(self._clock.monotonic(), self._clock.time())

    def _ask(self, purpose, name, seconds, rejected=None):
        ticket = []
        with self._turn:
            self._take(Asked(ticket, purpose, name, self._clock.monotonic() + seconds, rejected))
            while not ticket:
                self._clock.advance(self._keeper.wake_at() - self._clock.monotonic())
                self._take(Ticked())
        (answer,) = ticket
        if answer.error is not None:
            raise answer.error
        return answer.value

    def _take(self, event):
        with self._turn:
            self._carry_out(self._keeper.handle(event, self._now()))

    def _carry_out(self, actions):
        for action in actions:
            if type(action) is Publish:
                self._keys[action.name] = action.key
            elif type(action) is Answer:
                action.ticket.append(action)
            elif type(action) is Log:
                logging.getLogger(__name__).log(action.level, action.message, *action.args)
            elif type(action) is Request:
                self._take(self._read(action))

    def _read(self, request):
        try:
            return Ended(request.number, self._source(request.name, request.seconds))
        except Exception as error:
            return Ended(request.number, None, error)


class ScriptedAccount:
    """An account whose renewals are what a script says, whatever a keeper would do.

    Args:
        key: the key at first.
        renew: called with the rejected key, returns a ``Renewal``.
    """

    def __init__(self, key, renew):
        self.key = key
        self._renew = renew

    def published_key(self, name):
        return self.key

    def get(self, name):
        return self.key

    def renew(self, name, rejected):
        renewal = self._renew(rejected)
        assert isinstance(renewal, Renewal)
        self.key = renewal.key or self.key
        return renewal

    def accepted(self, name, key):
        pass
