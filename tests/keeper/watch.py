"""A world that checks each action of the keeper against the contracts, from the events alone."""

from aliyun_sdk_secretsmanager_common_plugin import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL, events

from .world import NEVER, TIMED_OUT, World

NAMES = ("dated", "temporary")
INTERVAL = 600.0
SIGNING_INTERVAL = 60.0  # that of a provider by itself
FETCH_TIMEOUT = 10.0
RENEW_TIMEOUT = 2.0
# The life of a version as Secrets Manager announces it. The rotation may come earlier or later.
LIFE = 400.0
ROUNDING = 1e-6

# What the contracts say, in seconds or as a plain number.
FIRST_COOL_DOWN, LONGEST_COOL_DOWN = 0.5, 5.0
COOL_DOWN_END = 5.5
FLOOR_READS, FLOOR_PERIOD = 10, 10.0
FIRST_BACKOFF, LONGEST_BACKOFF = 2.0, 300.0
MOST_REQUESTS, PACE = 3, 1.0
GRACE = 1.0
MOST_GIVEN_UP, PATIENCE = 2, 30.0
LONGEST_MEMORY_OF_A_NAME = 10.0
MOST_FORMER_KEYS = 8
SPREAD = 0.1
# What is due is read within this time, whichever clock jumps. A change of a second or less is no jump.
WAKE_UP = 60.0
CLOCK_JUMP = 1.0


class Secret:
    """A secret in Secrets Manager: its versions, and which one was the current one when."""

    def __init__(self, name, world):
        self.name = name
        self._world = world
        self._made = [world.time]  # when each version was made, by the wall clock
        self._current = [(0.0, 1)]  # from which moment on, which version

    def rotate(self):
        self._made.append(self._world.time)
        self._current.append((self._world.monotonic, len(self._made)))

    def roll_back(self):
        version = self._current[-1][1]
        self._current.append((self._world.monotonic, max(version - 1, 1)))

    def swap(self):
        """Make the version the current one again that was it before the current one."""
        self._current.append((self._world.monotonic, self._current[-2:][0][1]))

    def key(self, when=None):
        """Return the key of the current version, or of the one that was current at a moment."""
        version = [version for since, version in self._current if when is None or since <= when][-1]
        ends = self._made[version - 1] + LIFE
        return AccessKey(
            "LTAI-{}-{}".format(self.name, version), "secret", None, str(version),
            next_rotation=ends if self.name == "dated" else None,
            expires=ends if self.name == "temporary" else None)


class Fetch:
    """A read of a secret.

    Attributes:
        was, number: the newest key when it began, and the request that had brought it.
        rejected: the key that a renewal is to replace.
        new: the keys that it brought and the process had never held.
        is_vain: whether it counts for the floor.
        is_for_signing: whether it is a refresh because somebody signs.
    """

    def __init__(self, purpose, began, seconds, promised, rejected, is_for_signing):
        self.purpose = purpose
        self.began = began
        self.deadline = began + seconds
        self.was = promised.key
        self.number = promised.number
        self.rejected = rejected
        self.new = []
        self.is_vain = True
        self.is_for_signing = is_for_signing


class Promised:
    """What the contracts promise of one secret.

    Attributes:
        key, number: the newest key that was stored, and the request that brought it.
        read: when that was, by both clocks.
        held: that key and former ones.
        fetch: the fetch in progress.
        fetches: the fetches that began lately.
        begun: when requests began, since the last good answer.
        in_vain: a fetch that brought no newer key, and whether it failed; until the cool-down begins.
        delay, cools: the cool-down's length before jitter, and the earliest and latest moment of its end.
        has_failed: whether the cool-down follows a fetch that failed.
        failures, failed: how many refreshes have failed in a row, and when the last one failed, by both clocks.
        is_hastened: whether the next refresh may come before its backoff is over.
        overdue: since when its refresh is due.
        told: the key that subscribers were told of last.
        refreshed_for_signing: when a refresh began because somebody signs, since the secret is in use.
    """

    def __init__(self):
        self.key = None
        self.number = 0
        self.read = None
        self.held = []
        self.fetch = None
        self.fetches = []
        self.begun = []
        self.in_vain = None
        self.end_cool_down()
        self.has_failed = False
        self.failures = 0
        self.failed = (0.0, 0.0)
        self.is_hastened = False
        self.overdue = None
        self.told = None
        self.refreshed_for_signing = None

    def end_cool_down(self):
        self.delay = 0.0
        self.cools = (0.0, 0.0)

    def cool_down_begins(self, now):
        """A cool-down begins: a fetch brought no newer key, and the program's store had none either."""
        assert self.in_vain is not None, "a cool-down, without reason"
        (fetch, self.has_failed), self.in_vain = self.in_vain, None
        self.delay = min(2 * self.delay, LONGEST_COOL_DOWN) or FIRST_COOL_DOWN
        end = max(fetch.began + COOL_DOWN_END, now + FIRST_COOL_DOWN / 2)
        self.cools = min(now + self.delay / 2, end), min(now + self.delay, end)

    def vain_reads(self, now):
        self.fetches = [fetch for fetch in self.fetches if fetch.began > now - FLOOR_PERIOD]
        return sum(fetch.is_vain for fetch in self.fetches)


class Watch(World):
    """A world that checks each action of the keeper against what is promised.

    Attributes:
        askers: who waits.
        sent: by number, the requests that have not ended: (name, gateway, when it began, fetch).
        lost: the requests that never end.
        lets_go: whether a request that is given up ends.
        is_broken: whether a promise was broken.
        planned: what ``wake_at`` said before the event that the keeper takes now.
        ticks: how often ``Ticked`` was sent.
        jumped_at: when a clock jumped last.
        wish: when a strategy wants a refresh at the latest, by the wall clock.
        signing: the secret whose signing the keeper is told of now.
        is_due_for_signing: whether it has planned a refresh for that.
    """

    def __init__(self, keeper_class, **options):
        self.keeper_class = keeper_class
        super().__init__(NEVER, NEVER, refresh_interval=INTERVAL, renew_timeout=RENEW_TIMEOUT, **options)
        self.promised = {name: Promised() for name in NAMES}
        self.secrets = {name: Secret(name, self) for name in NAMES}
        self.askers = []
        self.sent = {}
        self.lost = set()
        self.lets_go = True
        self.is_broken = False
        self.planned = None
        self.ticks = 0
        self.jumped_at = self.monotonic
        self.wish = 0.0
        self.signing = None
        self.is_due_for_signing = False

    # What the keeper is told.

    def ask(self, purpose, seconds, name, **options):
        promised = self.promised[name]
        at_once = purpose == FIRST_READ and promised.key is not None and (
            name in self.keys or self.is_idle(name) and self.age(promised) < INTERVAL)
        if purpose == REFRESH:
            promised.is_hastened = True
        asker = super().ask(purpose, seconds, name, **options)
        assert asker.answers or not at_once, "{}: waits though there is a key".format(name)
        return asker

    def age(self, promised):
        return max(self.monotonic - promised.read[0], self.time - promised.read[1])

    def handle(self, event):
        self.is_broken = True
        self.planned = self.keeper.wake_at()
        self.ticks += isinstance(event, events.Ticked)
        if isinstance(event, (events.Asked, events.Preload)) and event.ticket is not None:
            event.ticket.event = event
            self.askers.append(event.ticket)
        if isinstance(event, events.Ended):
            self.request_ends(event)
        elif isinstance(event, events.Recovered):
            self.recovered(event)
        elif isinstance(event, events.Accepted):
            self.accepted(event)
        self.signing = event.name if isinstance(event, events.Signed) else None
        self.is_due_for_signing = False
        actions = super().handle(event)
        for name, promised in self.promised.items():
            if promised.key is None and name not in self.known_names():
                promised.end_cool_down()
                promised.failures = 0
                promised.fetches = []
            if self.is_idle(name):
                promised.refreshed_for_signing = None
        self.is_broken = False
        return actions

    def request_ends(self, event):
        name, gateway, began, fetch = self.sent.pop(event.request)
        promised = self.promised[name]
        if event.key is None:
            return
        promised.begun = []
        if event.refresh_at is not None:
            self.wish = max(self.wish, event.refresh_at)
        if event.request > promised.number:
            if event.key not in promised.held:
                fetch.new.append(event.key)
            promised.number = event.request
            self.store(promised, event.key, self.time)
            promised.failures = 0

    def recovered(self, event):
        promised = self.promised[event.name]
        if event.key is not None and promised.key is None:
            self.store(promised, event.key, event.read)
            promised.failures = 1
            promised.is_hastened = True

    def store(self, promised, key, time):
        if key != promised.key:
            promised.held = (promised.held + [key])[-1 - MOST_FORMER_KEYS:]
            promised.end_cool_down()
        promised.key = key
        promised.read = (self.monotonic, time)

    def accepted(self, event):
        promised = self.promised[event.name]
        if event.key == promised.key:
            promised.delay = 0.0
        for fetch in promised.fetches:
            fetch.is_vain = fetch.is_vain and event.key not in fetch.new

    def fork(self):
        self.heeded.clear()
        self.begin_anew()
        super().fork()

    def be_born_again(self):
        """Go on as a child whose parent's keeper was handling an event when it forked."""
        published = dict(self.keys)
        for name, promised in self.promised.items():
            self.promised[name] = fresh = Promised()
            if name in published:
                fresh.key = fresh.told = promised.key
                fresh.held = [promised.key]
                fresh.read = (0.0, 0.0)
        self.keeper = self.keeper.born_again(published)
        self.fork()

    def begin_anew(self):
        self.askers = []
        self.sent.clear()
        self.lost.clear()
        self.keys.clear()
        self.recoveries.clear()
        for promised in self.promised.values():
            promised.fetch = promised.in_vain = None
            promised.begun = []
            promised.overdue = None
            promised.refreshed_for_signing = None

    # What the keeper wants done.

    def _publish(self, action):
        super()._publish(action)
        if action.key is not None:
            assert action.key == self.promised[action.name].key, "{}: readers get a former key".format(action.name)

    def _request(self, action):
        name, gateway = action.name, action.gateway
        promised = self.promised[name]
        others = [number for number, (of, to, _, _) in self.sent.items() if (of, to) == (name, gateway)]
        given_up = [number for number in others if number in self.given_up]
        assert len(given_up) == len(others), "{}: two live requests to {}".format(name, gateway)
        if len(given_up) > MOST_GIVEN_UP:
            last = max(self.sent[number][2] for number in given_up)
            assert self.monotonic - last >= PATIENCE - ROUNDING, "{}: no patience with {}".format(name, gateway)
        promised.begun.append(self.monotonic)
        if len(promised.begun) > MOST_REQUESTS:
            took = self.monotonic - promised.begun[-1 - MOST_REQUESTS]
            assert took >= PACE - ROUNDING, "{}: {} requests in {} s".format(name, MOST_REQUESTS + 1, took)
        assert promised.fetch is not None, "{}: asked for by nobody".format(name)
        self.sent[action.number] = (name, gateway, self.monotonic, promised.fetch)
        super()._request(action)

    def _give_up(self, action):
        super()._give_up(action)
        if self.lets_go and action.number not in self.lost:
            self._come(0.0, events.Ended(action.number, None, TIMED_OUT))

    def _answer(self, action):
        asker = action.ticket
        assert asker is not None, "nobody is answered"
        assert asker in self.askers, "{}: answered twice, or a parent's".format(asker.event)
        self.askers.remove(asker)
        super()._answer(action)
        event = asker.event
        is_over = self.monotonic >= event.until
        assert not self.monotonic > event.until or self.planned <= event.until, "answered too late"
        if isinstance(event, events.Preload):
            return
        name, promised = event.name, self.promised[event.name]
        floored = promised.vain_reads(self.monotonic) >= FLOOR_READS
        cools = self.monotonic <= promised.cools[1] + ROUNDING
        if event.purpose == FIRST_READ:
            if action.error is None:
                assert action.value == promised.key, "{}: given a former key".format(name)
            else:
                assert promised.key is None, "{}: {} though there is a key".format(name, action.error)
                assert is_over or floored or cools and promised.has_failed, "{}: failed, without reason".format(name)
        elif event.purpose == RENEWAL:
            assert action.error is None
            if action.value.key is not None:
                assert action.value.key == promised.key, "{}: given a former key".format(name)
                assert action.value.key != event.rejected, "{}: renewed by itself".format(name)
            else:
                assert promised.key in (None, event.rejected), "{}: not given the key that there is".format(name)
                assert is_over or floored or cools, "{}: not renewed, without reason".format(name)

    def _heed_signed(self, action):
        super()._heed_signed(action)
        latest = max(self.monotonic, self.promised[action.name].read[0]) + INTERVAL * (1.0 + SPREAD)
        assert action.moment <= latest + ROUNDING, "{}: does not listen for signing".format(action.name)

    def _tell(self, action):
        super()._tell(action)
        self.promised[action.name].told = action.key

    def _log(self, action):
        super()._log(action)
        if action.message.startswith("secret %r: fetch begins"):
            self.fetch_begins(*action.args)
        elif action.message.startswith("secret %r: fetch ends"):
            self.fetch_ends(*action.args[:3])
        elif action.message.startswith("secret %r: not asked for again"):
            self.promised[action.args[0]].cool_down_begins(self.monotonic)
        elif action.message.startswith("secret %r: the next refresh is due"):
            self.is_due_for_signing = self.signing == action.args[0] and action.args[1] == 0.0

    def fetch_begins(self, name, purpose, seconds):
        promised, now = self.promised[name], self.monotonic
        assert promised.in_vain is None or promised.key is not None, "{}: no cool-down".format(name)
        promised.in_vain = None
        assert promised.fetch is None, "{}: two fetches at a time".format(name)
        assert promised.vain_reads(now) < FLOOR_READS, "{}: read too often".format(name)
        if purpose == RENEWAL or purpose == FIRST_READ and promised.has_failed:
            assert now >= promised.cools[0] - ROUNDING, "{}: read {} s too early".format(name, promised.cools[0] - now)
        if purpose == REFRESH and promised.failures and not promised.is_hastened:
            pause = min(FIRST_BACKOFF * 2 ** (promised.failures - 1), LONGEST_BACKOFF) / 2
            passed = max(now - promised.failed[0], self.time - promised.failed[1])
            assert passed >= pause - CLOCK_JUMP, "{}: refreshed {} s after failure {}".format(
                name, passed, promised.failures)
        is_for_signing = self.signing == name and self.is_due_for_signing
        if is_for_signing:
            assert purpose == REFRESH
            since = max(filter(None, (promised.read[0], promised.refreshed_for_signing)), default=0.0)
            assert now - since >= SIGNING_INTERVAL - ROUNDING, "{}: refreshed again {} s later for signing".format(
                name, now - since)
            promised.refreshed_for_signing = now
        promised.is_hastened = promised.is_hastened and purpose != REFRESH
        rejected = [asker.event.rejected for asker in self.askers
                    if isinstance(asker.event, events.Asked) and asker.event[1:3] == (purpose, name)]
        promised.fetch = Fetch(
            purpose, now, seconds, promised, rejected[0] if purpose == RENEWAL else None, is_for_signing)
        promised.fetches.append(promised.fetch)

    def fetch_ends(self, name, purpose, how):
        promised, failed = self.promised[name], how == "failed"
        fetch, promised.fetch = promised.fetch, None
        assert fetch.purpose == purpose
        is_late = self.monotonic > fetch.deadline + ROUNDING and self.planned > fetch.deadline + ROUNDING
        assert not is_late, "{}: a fetch goes on after its deadline".format(name)
        is_answered = promised.number > fetch.number or promised.key != fetch.was
        assert failed or is_answered, "{}: a fetch ends without an answer".format(name)
        if failed and promised.key is None or purpose == RENEWAL and promised.key == fetch.rejected:
            promised.in_vain = fetch, failed
        elif purpose == REFRESH:
            if not failed:
                promised.end_cool_down()
            elif not fetch.is_for_signing:
                promised.failures += 1
                promised.failed = (self.monotonic, self.time)
