"""Contracts 2, 3, 6 to 10: whatever happens, and in whatever order, cache and refresher keep their promises."""

import collections
import contextlib
import inspect
import itertools
import logging
import types
import weakref

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentials, ManagedCredentialsError
from aliyun_sdk_secretsmanager_common_plugin import cache as cache_module
from aliyun_sdk_secretsmanager_common_plugin import managed_credentials as module
from aliyun_sdk_secretsmanager_common_plugin import refresher as refresher_module
from aliyun_sdk_secretsmanager_common_plugin import secrets_manager as secrets_manager_module
from aliyun_sdk_secretsmanager_common_plugin.cache import Cache
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings

from .fakes import FakeClock, Source, key
from .simulation import FAILURES, MOST_POINTS, Gone, Region, Secrets, Threads

NAMES = ("plain", "dated")
INTERVAL = 600.0
FETCH_TIMEOUT = 10.0
RENEW_TIMEOUT = 2.0
WAKE_UP = 60.0
ROTATION_INTERVAL = 400.0
LONGEST_BACKOFF = 300.0
FIRST_COOL_DOWN = 0.5
LONGEST_COOL_DOWN = 5.0
COOL_DOWN_END = 5.5
FIRST_BACKOFF = 2.0
ROUNDING = 1e-6
REFRESHER, REFRESH = "managed-credentials-refresher", "managed-credentials-refresh"
# How long a caller may wait; all else not at all.
TIMEOUTS = {
    "get": FETCH_TIMEOUT, "open": FETCH_TIMEOUT, "renew": RENEW_TIMEOUT, "refresh": FETCH_TIMEOUT + RENEW_TIMEOUT,
}
READS = ("get", "open", "refresh")

# What becomes of requests to the two regions.
NETWORKS = (
    ("good", "good"), ("bad", "good"), ("hung", "good"), ("good", "hung"),
    ("held", "held"), ("bad", "bad"), ("hung", "hung"),
)

names = st.sampled_from(NAMES)
# How far a thread gets before another has its turn; None: all run until they wait.
points = st.one_of(st.none(), st.integers(0, 40))
indexes = st.integers(0, 5)


class Client:
    """What a plugin's client is to the facade."""


class Call:
    """What one of the program's threads asks for, and what there was when it began.

    Attributes:
        had_key: whether the cache had a key to serve.
        latest, number: what was read last, and the number of the exchange.
        is_alone: whether no other thread read a secret.
        is_excused: whether it may end without a key, as Secrets Manager was asked in vain, now or a moment ago.
        seen_other: whether there was another key than the rejected one while it waited.
    """

    def __init__(self, machine, kind, name, rejected):
        entry = machine.cache._entries.get(name)
        vain = machine.in_vain.get(name)
        self.kind = kind
        self.name = name
        self.rejected = rejected
        self.result = None
        self.error = None
        self.began = machine.clock.monotonic()
        self.stalled = machine.stalled
        self.reads = machine.reads
        self.latest = entry and entry.latest
        self.number = machine.number(name)
        self.had_key = entry is not None and entry.key is not None and (
            not entry.idle or machine.cache._age(entry) < INTERVAL)
        self.is_alone = not any(call.kind in READS for call in machine.calls.values())
        self.is_excused = vain is not None and vain.excuses(self.began)
        self.seen_other = False


class Fetch:
    """A fetch in progress.

    Attributes:
        kind: "get", "renew" or "refresh".
        rejected: the key that is to be renewed.
        began: when.
        is_due: whether the schedule began it.
        until: when it does not count any more.
    """

    def __init__(self, name, kind, rejected, is_due, began, until):
        self.name = name
        self.kind = kind
        self.rejected = rejected
        self.is_due = is_due
        self.began = began
        self.until = until


class InVain:
    """A fetch that brought nothing, and the cool-down after it.

    Attributes:
        shortest, longest: what its seconds are between, jitter aside; several may end at a time.
        failed: whether it failed, or there was nothing newer.
        key: the one that the secret had.
        is_certain: whether all waited since.
        is_over: whether the cool-down was ended.
    """

    def __init__(self, last, began, ended, failed, key):
        self.shortest = min(2 * last.shortest, LONGEST_COOL_DOWN) if last and last.is_certain else FIRST_COOL_DOWN
        self.longest = min(2 * last.longest, LONGEST_COOL_DOWN) if last else FIRST_COOL_DOWN
        self.began = began
        self.ended = ended
        self.failed = failed
        self.key = key
        self.is_certain = False
        self.is_over = False

    def earliest(self):
        """Return before when no other may follow."""
        end = max(self.began + COOL_DOWN_END, self.ended + FIRST_COOL_DOWN / 2)
        return min(self.ended + self.shortest / 2, end) if self.is_certain else self.ended

    def excuses(self, now):
        """Return whether a call that begins now may have no key."""
        return now <= self.ended + self.longest


class CacheMachine(RuleBasedStateMachine):
    """A process with its threads and clients, Secrets Manager with two regions, and what each was promised."""

    cache_module, refresher_module = cache_module, refresher_module

    def __init__(self):
        super().__init__()
        logging.disable(logging.CRITICAL)
        self.patch = pytest.MonkeyPatch()
        self.clock = FakeClock()
        self.threads = Threads(self.clock)
        self.secrets = Secrets(self.clock, {"dated": ROTATION_INTERVAL})
        self.numbers = itertools.count(1)
        self.regions = [Region(self.secrets, self.numbers, self.threads.block) for _ in range(2)]
        for each in (self.cache_module, self.refresher_module, secrets_manager_module, module):
            self.patch.setattr(each, "threading", self.threads)
        self.patch.setattr(secrets_manager_module, "queue", self.threads)
        self.patch.setattr(module, "_gateways", lambda *ignored: self.regions)
        self.patch.setattr(module, "Cache", self.cache_module.Cache)
        self.patch.setattr(module, "_clock", self.clock)
        self.refresher = self.refresher_module.Refresher(self.clock, module._release_dropped_clients)
        self.patch.setattr(module, "_refresher", self.refresher)
        self.patch.setattr(module, "_instances", weakref.WeakSet())
        self.patch.setattr(module, "_forking", contextlib.ExitStack())
        self.patch.setattr(module, "_instances_lock", self.threads.RLock())
        self.patch.setattr(module, "_default_lock", self.threads.RLock())
        self.patch.setattr(module, "_fork_lock", self.threads.Lock())
        self.credentials = ManagedCredentials(
            Settings(refresh_interval=INTERVAL, fetch_timeout=FETCH_TIMEOUT, renew_timeout=RENEW_TIMEOUT), self.fetch)
        self.cache = self.credentials._cache
        self.credentials.subscribe(self.be_told)

        self.clients = []
        self.lost_clients = []  # those that threads were making that are not in a forked child
        self.seen = collections.defaultdict(list)  # by name, the keys that the program was given
        self.told = {}  # by name, the key that subscribers were told of last
        self.stored = collections.Counter()  # by name, the number of the exchange whose answer was stored last
        self.calls = {}  # by the program's thread
        self.fetches = []
        self.in_vain = {}  # by name, the last fetch that brought nothing
        self.refresh_failures = {}  # by name, how many refreshes failed in a row, and when the last did by both clocks
        self.hastened = set()  # names whose next refresh may come before its backoff is over
        self.reads = 0
        self.is_quiet = True  # nobody uses a secret
        self.stalled = 0.0  # for how long no thread ran, though time went on
        self.held_up = 0.0  # that, since all waited
        self.jumped_at = self.clock.monotonic()
        self.wrong = []
        self.is_broken = False

    # What the product meets.

    def fetch(self, name, timeout, retry, late):
        call = self.calls.get(self.threads.current)
        now = self.clock.monotonic()
        rejected = call and call.rejected
        kind = "get" if retry else "renew" if rejected else "refresh"
        until = now + timeout + cache_module.FLIGHT_MARGIN - self.held_up
        fetch = Fetch(name, kind, rejected, call is None, now, until)
        self.check(not any(other.name == name and now < other.until for other in self.fetches),
                   "{}: two fetches at a time", name)
        self.check_pause(fetch)
        self.fetches.append(fetch)
        try:
            fetched = self.credentials._secrets_manager.fetch(name, timeout, retry, late)
        except Exception:
            self.fetch_ended(fetch, None)
            raise
        except BaseException:
            self.fetches.remove(fetch)
            raise
        self.fetch_ended(fetch, fetched)
        return fetched

    def check_pause(self, fetch):
        name, vain = fetch.name, self.in_vain.get(fetch.name)
        now, wall_now = self.clock.monotonic(), self.clock.time()
        if vain and self.is_cooling(name, vain) and (fetch.kind == "renew" or fetch.kind == "get" and vain.failed):
            self.check(now >= vain.earliest() - ROUNDING, "{}: asked {} s too early", name, vain.earliest() - now)
        if fetch.is_due:
            if name in self.refresh_failures and name not in self.hastened and not self.held_up:
                failures, monotonic, wall, number = self.refresh_failures[name]
                pause = min(FIRST_BACKOFF * 2 ** (failures - 1), LONGEST_BACKOFF) / 2
                passed = max(now - monotonic, wall_now - wall)
                self.check(passed >= pause - ROUNDING or number != self.number(name),
                           "{}: refreshed {} s after failure {}", name, passed, failures)
            self.hastened.discard(name)

    def fetch_ended(self, fetch, fetched):
        self.fetches.remove(fetch)
        name, now = fetch.name, self.clock.monotonic()
        entry = self.cache._entries[name]
        if fetched is not None:
            self.refresh_failures.pop(name, None)
        if fetch.kind == "refresh":
            if fetched is not None:
                self.end_cool_down(name)
            elif fetch.is_due:
                failures, _, _, number = self.refresh_failures.get(name, (0, 0.0, 0.0, 0))
                failures = failures + 1 if number == self.number(name) else 1
                self.refresh_failures[name] = (failures, now, self.clock.time(), self.number(name))
            return
        key = entry.key
        last = self.in_vain.get(name)
        if fetched is not None:
            if key is None:  # it had become too old, and is read as if for the first time
                key, last = fetched.key, None
            if fetch.kind == "get" or key != fetch.rejected:
                return
            if fetched.key != key and int(fetched.key.version_id) >= self.number(name):
                return
        if last and not self.is_cooling(name, last):
            last = None
        self.in_vain[name] = InVain(last, fetch.began, now, fetched is None, key)
        for call in self.calls.values():
            call.is_excused |= call.name == name

    def is_cooling(self, name, vain):
        key = self.cache._entries[name].key
        return not vain.is_over and (key is None or key is vain.key)

    def end_cool_down(self, name):
        if name in self.in_vain:
            self.in_vain[name].is_over = True

    def be_told(self, name, key):
        self.told[name] = key
        raise ValueError("a subscriber's bug")

    # What the program does.

    def call(self, kind, name, function, points, rejected=None):
        """Begin a call, in a thread of its own."""
        call = Call(self, kind, name, rejected)
        self.hasten(call)
        if kind in READS:
            self.reads += 1
            self.is_quiet = False

        def run():
            try:
                call.result = function()
            except Gone:
                raise
            except BaseException as error:
                call.error = error
            self.calls.pop(self.threads.current, None)
            self.ended(call)

        thread = self.threads.Thread(run, name="program")
        refusals, self.threads.refusals = self.threads.refusals, 0
        thread.start()
        self.threads.refusals = refusals
        self.calls[thread] = call
        self.let_run(thread, points)
        return call

    def let_run(self, thread, points):
        self.threads.run(thread, points)
        if points is None:
            self.threads.settle()

    def hasten(self, call):
        """Note that the schedule is told of a secret anew: of a refresh by hand, or amid one."""
        is_amid = any(fetch.name == call.name and fetch.is_due for fetch in self.fetches)
        if call.kind == "refresh" or call.kind in READS and is_amid:
            self.hastened.add(call.name)

    def ended(self, call):
        name, error, call.error = call.name, call.error, None
        self.check_deadline(call)
        self.hasten(call)
        if isinstance(error, KeyboardInterrupt):
            pass
        elif error is not None:
            text = "{}: {} raised {!r}".format(name, call.kind, error)
            self.check(isinstance(error, (ServerException, ClientException, ManagedCredentialsError)), text)
            self.check(call.kind in READS and not call.had_key and self.is_excused(call), text)
        elif call.kind == "get" or call.kind == "renew" and call.result is not None:
            self.check_key(call, call.result)
            self.seen[name].append(call.result)
        elif call.kind == "renew":
            self.check(self.is_excused(call), "{}: not renewed, without reason", name)
            self.check(not call.seen_other or self.cache._entries[name].key == call.rejected,
                       "{}: not given the key that there was", name)
        elif call.kind in ("close", "shut"):
            self.is_quiet = call.is_alone and call.reads == self.reads and (
                call.kind == "close" or not self.clients and not self.lost_clients)

    @rule(name=names, points=points)
    def read(self, name, points):
        self.call("get", name, lambda: self.credentials.get(name), points)

    @precondition(lambda self: self.seen)
    @rule(name=names, age=st.integers(0, 1), points=points)
    def have_a_key_rejected(self, name, age, points):
        rejected = self.seen[name][-1 - age:][:1]
        if rejected:
            self.call("renew", name, lambda: self.credentials.renew(name, rejected[0]), points, rejected[0])

    @precondition(lambda self: self.seen)
    @rule(name=names, seconds=st.sampled_from([0.1, 0.3, 1.0]), then=st.sampled_from(["accepted", "refreshed"]))
    def have_a_key_rejected_again_and_again(self, name, seconds, then):
        """Until it is accepted after all, or refreshed; and once more."""
        for _ in range(8):
            self.have_a_key_rejected(name, 0, None)
            self.pass_time(seconds)
        if then == "refreshed":
            self.refresh_by_hand(name, None)
        elif self.seen[name]:
            key = self.seen[name][-1]
            if key == self.cache._entries[name].key:
                self.end_cool_down(name)
            self.call("accept", name, lambda: self.cache.accepted(name, key), None)
        self.promises_are_kept()
        self.have_a_key_rejected(name, 0, None)

    @rule(name=names, points=points)
    def open_a_client(self, name, points):
        def open_client():
            client = Client()
            client.lease = self.credentials.lease(client, name, AKExpireHandler(), lambda client: None)
            self.clients.append(client)

        self.call("open", name, open_client, points)

    @precondition(lambda self: self.clients)
    @rule(index=indexes, is_shut_down=st.booleans(), points=points)
    def leave_a_client(self, index, is_shut_down, points):
        client = self.clients.pop(index % len(self.clients))
        if is_shut_down:
            self.call("shut", None, client.lease.close, points)

    @rule(name=names, points=points)
    def refresh_by_hand(self, name, points):
        self.call("refresh", name, lambda: self.credentials.refresh(name), points)

    @precondition(lambda self: not self.is_quiet)
    @rule(points=points)
    def close(self, points):
        self.call("close", None, self.credentials.close, points)

    @rule(goes_on_as_child=st.booleans(), points=points)
    def fork(self, goes_on_as_child, points):
        def fork():
            module._before_fork()
            if goes_on_as_child:
                self.threads.forget_others()
                self.lost_clients += [call for call in self.calls.values() if call.kind == "open"]
                self.threads.current.points = MOST_POINTS  # there is no other thread until it made one
                self.calls.clear()
                self.fetches.clear()
                self.refresh_failures.clear()
                self.told.clear()
                module._after_fork_in_child()
            else:
                module._after_fork_in_parent()

        self.call("fork", None, fork, points)

    def waiting(self):
        return [thread for thread, call in self.calls.items() if thread.waits and call.kind in TIMEOUTS]

    @precondition(lambda self: self.waiting())
    @rule(index=indexes)
    def interrupt(self, index):
        """As a signal does to a main thread that waits."""
        waiting = self.waiting()
        thread = waiting[index % len(waiting)]
        thread.interruption = KeyboardInterrupt()
        self.threads.run(thread)

    @precondition(lambda self: self.threads.ready())
    @rule(index=indexes, points=points)
    def let_a_thread_run(self, index, points):
        ready = self.threads.ready()
        self.let_run(ready[index % len(ready)], points)

    @rule(count=st.integers(1, 6))
    def run_out_of_threads(self, count):
        self.threads.refusals = count

    # What Secrets Manager and the network do.

    @rule(name=names, is_rotation=st.booleans())
    def change_a_secret(self, name, is_rotation):
        if is_rotation:
            self.secrets.rotate(name)
        else:
            self.secrets.roll_back(name)

    @rule(modes=st.sampled_from(NETWORKS))
    def change_the_network(self, modes):
        for region, mode in zip(self.regions, modes):
            region.mode = mode

    def exchanges(self):
        return [exchange for region in self.regions for exchange in region.exchanges]

    @precondition(lambda self: self.exchanges())
    @rule(index=indexes, how=st.sampled_from(["current", "former"]) | st.sampled_from(sorted(FAILURES)))
    def end_an_exchange(self, index, how):
        exchange = self.exchanges()[index % len(self.exchanges())]
        if how in FAILURES:
            exchange.region.fail(exchange, how)
        else:
            exchange.region.give(exchange, as_of_its_start=how == "former")

    # What time does.

    @rule(seconds=st.sampled_from([0.3, 1.0, 2.5, 6.0, 61.0, 650.0]))
    def wait(self, seconds):
        self.pass_time(seconds)

    def pass_time(self, seconds):
        self.threads.pass_time(seconds, self.promises_are_kept)

    @precondition(lambda self: any(self.refresher._jobs.values()))
    @rule(index=indexes, seconds=st.sampled_from([-1.5, -0.5, 0.5, 3.0]), modes=st.sampled_from(NETWORKS))
    def wait_for_a_refresh(self, index, seconds, modes):
        """Until it is due, or a moment before or after."""
        self.change_the_network(modes)
        due = [due.monotonic for due in self.refresher._jobs.values() if due is not None]
        self.pass_time(max(due[index % len(due)] + seconds - self.clock.monotonic(), 0.0))

    @rule(seconds=st.sampled_from([3.0, 20.0, 1000.0]))
    def stop_the_process(self, seconds):
        self.clock.advance(seconds)
        self.stalled += seconds
        if self.threads.ready():
            self.held_up += seconds
        self.clock_jumped()

    @rule(seconds=st.sampled_from([-1000.0, 10.0, 1000.0]))
    def set_the_clock(self, seconds):
        """Forward it is also what a suspended machine does."""
        self.clock.jump_time(seconds)
        self.clock_jumped()

    def clock_jumped(self):
        self.jumped_at = self.clock.monotonic()
        for call in self.calls.values():
            call.had_key = False  # it may have become too old

    # What is promised.

    @invariant()
    def promises_are_kept(self):
        for name, entry in self.cache._entries.items():
            self.check_entry(name, entry)
        for region in self.regions:
            asked = [exchange.name for exchange in region.exchanges]
            self.check(len(set(asked)) == len(asked), "a region was asked for {} at a time", asked)
        self.check(not self.threads.errors, "a thread ended with {!r}", self.threads.errors)
        if not self.threads.ready():
            self.check_peace()
        self.is_broken = bool(self.wrong)
        assert not self.wrong, self.wrong

    def check_entry(self, name, entry):
        number = self.number(name)
        self.check(number >= self.stored[name], "{}: exchange {} after {}", name, number, self.stored[name])
        self.stored[name] = number
        if entry.key is not None:
            self.check_whole(name, entry.key)
            self.check(entry.key == entry.latest, "{}: {!r} in spite of {!r}", name, entry.key, entry.latest)
            self.check(self.cache._keys.get(name, entry.key) == entry.key, "{}: readers get a former key", name)

    def check_peace(self):
        """Check what holds when all wait for another moment."""
        self.held_up = 0.0
        for thread in self.threads.alive:
            self.check(thread.waits, "{!r} waits for a lock that nobody lets go", thread.name)
        for call in self.calls.values():
            self.check_waiting(call)
        running = [thread.name for thread in self.threads.alive]
        self.check(running.count(REFRESHER) <= 1, "two refreshers")
        for name in self.cache._keys:
            self.check_schedule(name, running)
        if self.is_quiet:
            self.check(not self.refresher._jobs and REFRESHER not in running, "it goes on after its end: {}", running)
        for name, vain in list(self.in_vain.items()):
            vain.is_certain = True
            if not self.is_cooling(name, vain):
                del self.in_vain[name]
        for name, told in self.told.items():
            self.check(told == self.cache._entries[name].latest, "{}: subscribers know only {!r}", name, told)

    def check_waiting(self, call):
        self.check(call.kind in TIMEOUTS, "{} waits", call.kind)
        self.check(any(fetch.name == call.name for fetch in self.fetches), "{}: nobody wakes {}", call.name, call.kind)
        self.check(not (call.kind == "get" and call.had_key), "{}: waits though there was a key", call.name)
        self.check_deadline(call)
        if call.kind == "renew":
            key = self.cache._entries[call.name].key
            call.seen_other |= key is not None and key != call.rejected

    def check_schedule(self, name, running):
        job = (self.cache.refresh, name)
        self.check(job in self.refresher._jobs, "{}: not scheduled", name)
        self.check(REFRESHER in running, "{}: nobody refreshes it", name)
        due = self.refresher._jobs.get(job)
        if due is None:
            self.check(REFRESH in running, "{}: its refresh does not run", name)
        else:
            wait = min(due.monotonic - self.clock.monotonic(), due.time - self.clock.time())
            self.check(wait <= INTERVAL, "{}: due in {} s", name, wait)
            self.check(wait > -ROUNDING or self.clock.monotonic() - self.jumped_at <= WAKE_UP, "{}: over due", name)

    def check_key(self, call, key):
        self.check_whole(call.name, key)
        self.check(key != call.rejected, "{}: renewed by itself", call.name)
        self.check(key == call.latest or int(key.version_id) > call.number, "{}: given a former key", call.name)

    def check_whole(self, name, key):
        try:
            self.secrets.version_of(name, key)
        except (AssertionError, ValueError) as error:
            self.check(False, "{}: no version of it: {}", name, error)

    def check_deadline(self, call):
        waited = self.clock.monotonic() - call.began - (self.stalled - call.stalled)
        self.check(waited <= TIMEOUTS.get(call.kind, 0.0) + ROUNDING, "{}: {} took {} s", call.name, call.kind, waited)

    def is_excused(self, call):
        waited = self.clock.monotonic() - call.began
        return call.is_excused or waited >= min(TIMEOUTS[call.kind], FETCH_TIMEOUT) - ROUNDING

    def check(self, truth, message, *args):
        # Threads of the product might handle an exception.
        if not truth:
            self.wrong.append(message.format(*args))

    def number(self, name):
        """Return the number of the exchange whose answer was stored last."""
        entry = self.cache._entries.get(name)
        return 0 if entry is None or entry.latest is None else int(entry.latest.version_id)

    # The end.

    def teardown(self):
        try:
            if not self.is_broken:
                self.all_comes_right()
                self.nothing_remains()
        finally:
            self.threads.end()
            self.patch.undo()
            logging.disable(logging.NOTSET)

    def all_comes_right(self):
        """Secrets Manager works again, and time passes."""
        self.threads.refusals = 0
        for region in self.regions:
            region.mode = "good"
        for exchange in self.exchanges():
            exchange.region.give(exchange)
        self.pass_time(FETCH_TIMEOUT + LONGEST_COOL_DOWN)
        self.promises_are_kept()
        assert not self.calls, "still waiting"
        refreshed = list(self.cache._keys)
        if refreshed:
            for name in refreshed:
                self.secrets.rotate(name)
            self.pass_time(max(INTERVAL, LONGEST_BACKOFF) + WAKE_UP)
            self.promises_are_kept()
            for name in refreshed:
                key = self.cache._keys.get(name)
                assert key is None or self.is_current(name, key), name
        for name in list(self.cache._entries):
            self.secrets.rotate(name)
            key = self.result("get", name, lambda: self.credentials.get(name))
            if not self.is_current(name, key):
                key = self.result("renew", name, lambda: self.credentials.renew(name, key), key)
            assert self.is_current(name, key), name

    def nothing_remains(self):
        """The program lets go of all."""
        if self.clients and not self.lost_clients and self.reads % 2:
            del self.clients[:]
        else:
            self.call("close", None, self.credentials.close, None)
        self.pass_time(WAKE_UP)
        self.promises_are_kept()
        assert not self.threads.alive, [thread.name for thread in self.threads.alive]
        assert not self.refresher._jobs, self.refresher._jobs

    def result(self, kind, name, function, rejected=None):
        call = self.call(kind, name, function, None, rejected)
        self.promises_are_kept()
        return call.result

    def is_current(self, name, key):
        return self.secrets.version_of(name, key) == self.secrets.current(name)


CacheMachine.TestCase.settings = hypothesis_settings(
    max_examples=40, stateful_step_count=50, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow])
TestCacheMachine = CacheMachine.TestCase


# How cache and refresher could be broken: in which module, and what is changed to what.
BREAKAGES = {
    "an older answer is stored": (cache_module, "if fetched.started < entry.started:", "if False:"),
    "a new key is not stored": (cache_module, "entry.key = fetched.key\n", "entry.key = entry.key or fetched.key\n"),
    "nobody is woken": (cache_module, "flight.done.set()", "pass"),
    "a flight has no end": (cache_module, "                    entry.flight = None\n", "                    pass\n"),
    "a failed refresh is the last": (cache_module, "self._schedule(name, delay)", "pass"),
    "a child has its parent's lock": (
        cache_module,
        "        self._lock = threading.RLock()\n        self._keys.clear()",
        "        self._keys.clear()",
    ),
    "the thread that ended is not replaced": (refresher_module, "                    self._thread = None\n", ""),
    "a cancelled refresh is due": (refresher_module, "            self._jobs.pop(job, None)\n", ""),
}


def changed(sound, text, replacement):
    """Return a module with another text."""
    source = inspect.getsource(sound)
    assert source.count(text) == 1, "{} has changed: break it in another way than {!r}".format(sound.__name__, text)
    module = types.ModuleType(sound.__name__)
    module.__package__ = sound.__package__
    exec(compile(source.replace(text, replacement), sound.__file__, "exec"), vars(module))
    return module


@pytest.mark.matrix
@pytest.mark.parametrize("breakage", sorted(BREAKAGES))
def test_the_machine_finds(breakage):
    sound, text, replacement = BREAKAGES[breakage]

    class Broken(CacheMachine):
        pass

    unsound = changed(sound, text, replacement)
    setattr(Broken, "cache_module" if sound is cache_module else "refresher_module", unsound)
    until_found = hypothesis_settings(
        CacheMachine.TestCase.settings, max_examples=500, phases=[Phase.generate], report_multiple_bugs=False)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Broken, settings=until_found)


def test_backoff_of_refreshes_goes_on_for_the_next_client():
    clock, source, delays = FakeClock(), Source(), []
    source.answer = key("A", next_rotation=clock.time() + 100)
    cache = Cache(source, clock, lambda name, seconds: delays.append(seconds), INTERVAL, FETCH_TIMEOUT, RENEW_TIMEOUT)
    cache.get("plain")
    clock.advance(200)
    source.answer = ClientException("SDK.HttpError", "no answer")
    for _ in range(5):
        cache.refresh("plain")
    clock.advance(1)
    cache.retire("plain")

    cache.get("plain")

    assert delays[-1] == pytest.approx(delays[-2] - 1)
    assert delays[-1] > 10
