"""Contracts 2, 3, 6 to 10 and 15: whatever happens, and in whatever order, the keeper keeps its promises.

Hypothesis chooses who asks, what gateways answer and when, how clocks jump, and where the process forks; nothing here
waits, and no thread runs.
"""

import random

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aliyun_sdk_secretsmanager_common_plugin import SecretFormatError
from aliyun_sdk_secretsmanager_common_plugin.keeper import (
    FIRST_READ,
    REFRESH,
    RENEWAL,
    entry,
    events,
    fetching,
    keeper,
    refreshing,
)
from aliyun_sdk_secretsmanager_common_plugin.keeper.timing import FIRST_READ_DELAYS

from .breakages import assert_found, changed
from .watch import (
    COOL_DOWN_END,
    FETCH_TIMEOUT,
    FLOOR_PERIOD,
    GRACE,
    INTERVAL,
    LONGEST_BACKOFF,
    LONGEST_COOL_DOWN,
    LONGEST_MEMORY_OF_A_NAME,
    NAMES,
    PATIENCE,
    RENEW_TIMEOUT,
    ROUNDING,
    SIGNING_INTERVAL,
    SPREAD,
    WAKE_UP,
    Watch,
)
from .world import (
    FINAL,
    NEVER,
    NO_CONNECTION,
    THROTTLED,
    TIMED_OUT,
    UNAVAILABLE,
    UNTRUSTED,
    After,
    identity_error,
)

ERRORS = {
    "no connection": NO_CONNECTION,
    "timed out": TIMED_OUT,
    "throttled": THROTTLED,
    "unavailable": UNAVAILABLE,
    "untrusted": UNTRUSTED,
    "forbidden": FINAL[0],
    "refused": FINAL[2],
    "no identity": identity_error(retryable=False),
    "no identity yet": identity_error(retryable=True),
    "format": SecretFormatError("secret: no JSON object"),
}

names = st.sampled_from(NAMES)
indexes = st.integers(0, 5)
# How the two gateways answer from now on. A request that is held ends by a rule, or never.
NETWORKS = (
    ("good", "good"), ("bad", "good"), ("held", "good"), ("good", "held"), ("slow", "slow"), ("bad", "slow"),
    ("held", "held"), ("bad", "bad"), ("held", "bad"), ("refuse", "bad"),
)


class KeeperMachine(RuleBasedStateMachine):
    """A process that holds two secrets of a configuration with two gateways."""

    keeper_class = keeper.Keeper

    @initialize(number=st.integers(0, 2 ** 16), can_recover=st.booleans(), secret_names=st.sets(names, max_size=1))
    def begin(self, number, can_recover, secret_names):
        random.seed(number)  # the keeper's jitter
        self.world = Watch(keeper_class=self.keeper_class, can_recover=can_recover, secret_names=secret_names)
        self.clients = {}  # by number, which secret each uses

    # What the program does.

    @rule(name=names, seconds=st.sampled_from([FETCH_TIMEOUT, FETCH_TIMEOUT, 3.0]), retry=st.booleans(),
          waits=st.booleans())
    def read(self, name, seconds, retry, waits):
        if name in self.world.keys:
            return
        delays = FIRST_READ_DELAYS if retry else ()
        if waits:
            self.world.ask(FIRST_READ, seconds, name, delays=delays)
        else:
            self.world.handle(events.Asked(None, FIRST_READ, name, self.world.monotonic + seconds, None, delays))

    @rule(name=names, age=st.integers(0, 1), seconds=st.sampled_from([RENEW_TIMEOUT, RENEW_TIMEOUT, 0.3]))
    def have_a_key_rejected(self, name, age, seconds):
        world = self.world
        rejected = (world.promised[name].held[-1 - age:] or [world.secrets[name].key()])[0]
        known = world.keeper.renewal(name, rejected, world.now)
        asker = world.ask(RENEWAL, seconds, name, rejected=rejected)
        assert known is None or asker.result().key == known.key, "{}: {} and {}".format(name, known, asker.answers)

    @rule(name=names, seconds=st.sampled_from([0.1, 0.3, 1.0]), then=st.sampled_from(["accepted", "refreshed"]))
    def have_a_key_rejected_again_and_again(self, name, seconds, then):
        """Until a service accepts it, or a refresh reads it; then once more."""
        for _ in range(8):
            self.have_a_key_rejected(name, 0, RENEW_TIMEOUT)
            self.world.pass_time(seconds)
        if then == "refreshed":
            self.refresh_by_hand(name, True)
        else:
            self.have_a_key_accepted(name, 0)
        self.promises_are_kept()
        self.have_a_key_rejected(name, 0, RENEW_TIMEOUT)

    @rule(name=names, age=st.integers(0, 1))
    def have_a_key_accepted(self, name, age):
        for key in self.world.promised[name].held[-1 - age:][:1]:
            if name in self.world.heeded:
                self.world.accept(key, name)
            else:  # which must have no effect
                self.world.accepted(events.Accepted(name, key))

    @rule(name=names, is_listened_for=st.booleans())
    def sign(self, name, is_listened_for):
        if is_listened_for:
            self.world.sign(name)
        else:
            self.world.handle(events.Signed(name))

    @rule(name=names)
    def a_rotation_is_followed_by_who_only_signs(self, name):
        world = self.world
        self.change_the_network(("good", "good"), "timed out", True)
        if not world.keys or name not in world.keys or any(of == name for of, _, _, _ in world.sent.values()):
            return
        self.refresh_by_hand(name, True)
        read = world.promised[name].read[0]
        world.secrets[name].rotate()
        if read == world.monotonic:
            while world.monotonic <= read + SIGNING_INTERVAL * (1.0 + SPREAD):
                self.sign(name, True)
                self.pass_time(5.0)
            self.sign(name, True)
            self.pass_time(FLOOR_PERIOD)
            assert world.promised[name].key == world.secrets[name].key(), "{}: signed with an old key".format(name)

    @rule(name=names, waits=st.booleans())
    def refresh_by_hand(self, name, waits):
        if waits:
            self.world.ask(REFRESH, RENEW_TIMEOUT, name)
        else:
            self.world.promised[name].is_hastened = True
            self.world.handle(events.Asked(None, REFRESH, name, self.world.monotonic + RENEW_TIMEOUT))

    @rule(name=names, times=st.integers(5, 14))
    def refresh_by_hand_in_a_loop(self, name, times):
        for _ in range(times):
            self.refresh_by_hand(name, True)
            self.world.pass_time(0.2)

    @rule(waits=st.booleans())
    def preload(self, waits):
        if waits:
            self.world.preload(NAMES, FETCH_TIMEOUT, FETCH_TIMEOUT)
        else:
            until = self.world.monotonic + FETCH_TIMEOUT
            self.world.handle(events.Preload(None, NAMES, until, FETCH_TIMEOUT, lambda: FIRST_READ_DELAYS))

    @rule(name=names)
    def open_a_client(self, name):
        self.clients[self.world.lease(name)] = name
        self.read(name, FETCH_TIMEOUT, True, True)

    @precondition(lambda self: self.clients)
    @rule(index=indexes)
    def leave_a_client(self, index):
        client = list(self.clients)[index % len(self.clients)]
        del self.clients[client]
        self.world.release(client)

    @rule()
    def close(self):
        self.world.close()

    @rule(goes_on_as=st.sampled_from(["parent", "child", "child", "child born again"]))
    def fork(self, goes_on_as):
        if goes_on_as == "parent":
            self.world.keys.clear()
        elif goes_on_as == "child":
            self.world.fork()
        else:
            self.world.be_born_again()

    @precondition(lambda self: self.world.recoveries)
    @rule(index=indexes, what=st.sampled_from(["nothing", "key", "old key"]))
    def recover(self, index, what):
        """The program's store answers. Where this rule does not run, it never does."""
        world = self.world
        name = world.recoveries.pop(index % len(world.recoveries)).name
        key = None if what == "nothing" else world.secrets[name].key(None if what == "key" else 0.0)
        world.handle(events.Recovered(name, key, 0.0 if what == "nothing" else world.time - 100.0))

    # What Secrets Manager and the network do.

    @rule(name=names, is_rotation=st.booleans())
    def change_a_secret(self, name, is_rotation):
        if is_rotation:
            self.world.secrets[name].rotate()
        else:
            self.world.secrets[name].roll_back()

    @rule(modes=st.sampled_from(NETWORKS), error=st.sampled_from(sorted(ERRORS)), lets_go=st.booleans())
    def change_the_network(self, modes, error, lets_go):
        world = self.world
        world.lets_go = lets_go
        for gateway, mode in zip(world.gateways, modes):
            gateway.answer = {
                "good": lambda request: world.secrets[request.name].key(),
                "slow": lambda request: After(1.4, world.secrets[request.name].key()),
                "bad": ERRORS[error],
                "refuse": FINAL[1],
                "held": NEVER,
            }[mode]

    @rule(name=names, seconds=st.sampled_from([FETCH_TIMEOUT, 3.0]))
    def a_secret_is_used_again_after_long_and_all_hang(self, name, seconds):
        """Two clients read it, with deadlines of their own."""
        self.close()
        self.pass_time(INTERVAL + WAKE_UP)
        self.change_the_network(("held", "held"), "timed out", True)
        self.read(name, seconds, True, True)
        self.read(name, 1.0, True, True)
        self.pass_time(1.5)

    @rule(name=names)
    def a_secret_goes_back_and_forth(self, name):
        """Between two versions, and each of them is accepted at first."""
        self.change_the_network(("good", "good"), "timed out", True)
        self.world.secrets[name].rotate()
        for _ in range(14):
            self.have_a_key_rejected(name, 0, RENEW_TIMEOUT)
            self.have_a_key_accepted(name, 0)
            self.world.secrets[name].swap()
            self.pass_time(0.3)

    def held(self):
        """Return the numbers of the requests that a rule may end."""
        return [number for number in self.world.under_way if number not in self.world.lost]

    @precondition(lambda self: self.held())
    @rule(index=indexes, how=st.sampled_from(["current", "former", "former"]) | st.sampled_from(sorted(ERRORS)),
          wish=st.sampled_from([None, None, None, 30.0, 900.0]), may_be_earlier=st.booleans())
    def end_a_request(self, index, how, wish, may_be_earlier):
        number = self.held()[index % len(self.held())]
        if how in ERRORS:
            self.world.end(number, ERRORS[how])
        else:
            name, _, began, _ = self.world.sent[number]
            self.world.end(
                number, self.world.secrets[name].key(began if how == "former" else None),
                refresh_at=None if wish is None else self.world.time + wish, may_be_earlier=may_be_earlier)

    @rule(name=names)
    def answers_come_in_the_wrong_order(self, name):
        """The secret is rotated between the requests to two gateways, and the later one is answered first."""
        world = self.world
        self.change_the_network(("held", "held"), "timed out", True)
        self.have_a_key_rejected(name, 0, RENEW_TIMEOUT)
        self.pass_time(0.5)
        world.secrets[name].rotate()
        self.pass_time(0.7)
        for number in sorted(self.held(), reverse=True):
            if number in world.sent and world.sent[number][0] == name:
                world.end(number, world.secrets[name].key(world.sent[number][2]))
                self.promises_are_kept()

    @precondition(lambda self: self.held())
    @rule(index=indexes)
    def lose_a_request(self, index):
        self.world.lost.add(self.held()[index % len(self.held())])

    @rule(name=names, seconds=st.sampled_from([1.0, 6.0, 40.0]), lets_go=st.booleans())
    def all_hang_for_good_and_later_ones_answer(self, name, seconds, lets_go):
        world = self.world
        self.change_the_network(("held", "held"), "timed out", lets_go)
        until = world.monotonic + seconds
        while world.monotonic < until:
            self.have_a_key_rejected(name, 0, RENEW_TIMEOUT)
            world.lost.update(world.under_way)
            world.pass_time(0.7)
        self.change_the_network(("good", "good"), "timed out", lets_go)
        self.a_rotation_is_followed(name)

    def a_rotation_is_followed(self, name):
        world = self.world
        world.secrets[name].rotate()
        until = world.monotonic + PATIENCE + COOL_DOWN_END + 2 * RENEW_TIMEOUT
        while world.promised[name].key != world.secrets[name].key():
            assert world.monotonic < until, "{}: the rotation was not followed".format(name)
            self.have_a_key_rejected(name, 0, RENEW_TIMEOUT)
            world.pass_time(0.5)

    # What time does.

    @rule(seconds=st.sampled_from([0.3, 1.0, 2.5, 6.0, 31.0, 61.0, 650.0]))
    def wait(self, seconds):
        self.pass_time(seconds)

    def pass_time(self, seconds):
        self.world.ticks = 0
        self.world.pass_time(seconds)
        assert self.world.ticks <= 200 + 20 * seconds, "woken {} times".format(self.world.ticks)

    @precondition(lambda self: self.world.keeper.wake_at() is not None)
    @rule(late=st.sampled_from([-0.01, 0.0, 0.3]))
    def wait_for_the_next_moment(self, late):
        """Wait until the keeper wants to be told of the time, a little less, or a little more."""
        world = self.world
        world.stop(max(world.keeper.wake_at() + late - world.monotonic, 0.0))
        world.handle(events.Ticked())

    @rule(seconds=st.sampled_from([3.0, 20.0, 1000.0]), wall=st.sampled_from([1.0, 0.0]))
    def stop_the_process(self, seconds, wall):
        """Stop for a while; or let the monotonic clock alone jump."""
        self.world.stop(seconds)
        self.world.jump(seconds * (wall - 1.0))
        self.clock_jumped()

    @rule(seconds=st.sampled_from([-1000.0, -0.7, 0.7, 10.0, 1000.0]))
    def set_the_clock(self, seconds):
        """Set the wall clock. A suspended machine looks like one that is set forward."""
        self.world.jump(seconds)
        self.clock_jumped(is_told=False)

    def clock_jumped(self, is_told=True):
        self.world.jumped_at = self.world.monotonic
        for promised in self.world.promised.values():
            promised.is_hastened = True
        if is_told:
            self.world.handle(events.Ticked())

    # What is promised.

    @invariant()
    def promises_are_kept(self):
        world = self.world
        world.is_broken = True
        for asker in world.askers:
            assert world.monotonic < asker.event.until, "{} waits past the deadline".format(asker.event)
        for name, promised in world.promised.items():
            self.check_secret(name, promised)
        for number, (name, _, began, fetch) in world.sent.items():
            longest = FETCH_TIMEOUT if fetch.purpose == FIRST_READ else RENEW_TIMEOUT
            is_live = number not in world.given_up
            assert not is_live or world.monotonic < began + longest + GRACE, "{}: request {} lives".format(name, number)
        assert set(world.sent) == set(world.under_way) == set(world.keeper._fetcher.sent)
        wake_at = world.keeper.wake_at()
        assert wake_at is None or wake_at <= world.monotonic + WAKE_UP, "it sleeps too long to see a clock jump"
        world.is_broken = False

    def check_secret(self, name, promised):
        world, stats = self.world, self.world.keeper.stats(self.world.now).get(name)
        assert name not in world.keys or world.keys[name] == promised.key, "{}: readers get a former key".format(name)
        assert promised.told == promised.key, "{}: subscribers know only {}".format(name, promised.told)
        is_of_use = promised.delay or any(
            fetch.new and fetch.is_vain for fetch in promised.fetches if fetch.began > world.monotonic - FLOOR_PERIOD)
        assert name in world.heeded or not is_of_use or promised.key is None, "{}: does not hear of calls".format(name)
        is_asked_for = promised.fetch is not None or any(
            asker.event.name == name for asker in world.askers if isinstance(asker.event, events.Asked))
        is_under_way = any(name == of for of, _, _, _ in world.sent.values())
        if stats is None:
            assert promised.key is None and not is_asked_for and not is_under_way, "{}: forgotten".format(name)
        elif promised.key is None:
            is_known = is_asked_for or is_under_way or promised.in_vain is not None or name in self.clients.values()
            latest = promised.cools[1] + LONGEST_MEMORY_OF_A_NAME
            assert is_known or world.monotonic <= latest + ROUNDING, "{}: not forgotten".format(name)
        elif world.is_idle(name):
            assert stats.next_refresh is None, "{}: nobody uses it".format(name)
        elif name in world.keys:
            self.check_schedule(name, promised, stats.next_refresh)
        else:
            promised.overdue = None
        if is_asked_for:
            assert world.keeper.wake_at() is not None, "{}: nobody wakes it".format(name)

    def check_schedule(self, name, promised, next_refresh):
        world = self.world
        assert next_refresh is not None, "{}: no refresh is planned".format(name)
        latest = max(INTERVAL, world.wish - world.time)
        assert next_refresh <= latest + ROUNDING, "{}: due in {} s".format(name, next_refresh)
        assert world.keeper.wake_at() is not None, "{}: nobody wakes it".format(name)
        if next_refresh > 0.0 or promised.fetch is not None:
            promised.overdue = None
        else:
            promised.overdue = promised.overdue or world.monotonic
            overdue = world.monotonic - max(promised.overdue, world.jumped_at)
            assert overdue <= WAKE_UP + ROUNDING, "{}: due since {} s".format(name, overdue)

    # The end.

    def teardown(self):
        if not self.world.is_broken:
            self.all_comes_right()
            self.nothing_remains()

    def all_comes_right(self):
        """Secrets Manager works again, and time passes. Requests that hang never end."""
        world = self.world
        world.lost.update(world.under_way)
        self.change_the_network(("good", "good"), "timed out", False)
        self.pass_time(FETCH_TIMEOUT + LONGEST_COOL_DOWN)
        self.promises_are_kept()
        assert not world.askers, "still waiting"
        refreshed = list(world.keys)
        for name in refreshed:
            world.secrets[name].rotate()
        self.pass_time(max(INTERVAL, LONGEST_BACKOFF, world.wish - world.time) + WAKE_UP)
        self.promises_are_kept()
        for name in refreshed:
            assert world.keys[name] == world.secrets[name].key(), "{}: not refreshed".format(name)
        for name in NAMES:
            self.a_rotation_is_followed(name)

    def nothing_remains(self):
        """The program shuts all its clients down."""
        if self.clients:
            while self.clients:
                self.leave_a_client(0)
        else:
            self.close()
        self.pass_time(WAKE_UP)
        self.promises_are_kept()
        assert self.world.keeper.wake_at() is None, "it goes on after its end"


KeeperMachine.TestCase.settings = hypothesis_settings(
    max_examples=230, stateful_step_count=50, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow])
TestKeeperMachine = pytest.mark.slow(KeeperMachine.TestCase)


@pytest.mark.matrix
@pytest.mark.parametrize("part", range(40))
def test_a_million_steps(part):
    """Each run takes other steps. They come in parts, since hypothesis remembers all that it has tried."""
    run_state_machine_as_test(KeeperMachine, settings=hypothesis_settings(
        KeeperMachine.TestCase.settings, max_examples=260, stateful_step_count=100, derandomize=False,
        report_multiple_bugs=False))


# How the keeper can be broken: the module, a text in it, and the text that replaces it.
BREAKAGES = {
    "an older answer is stored": (keeper, "if self._is_latest(entry, request):", "if True:"),
    "a new key is not stored": (keeper, "entry.replace_key(key, now.monotonic)", "entry.key = entry.key or key"),
    "subscribers are not told": (keeper, "self._do(Tell(entry.name, key, entry.is_recovered))", "pass"),
    "an older key is published": (
        keeper, "self._do(Publish(entry.name, entry.key))\n            self._schedule",
        "self._do(Publish(entry.name, former or key))\n            self._schedule"),
    "a late answer is lost": (
        keeper, "        if event.key is not None:\n            if self._is_latest",
        "        if event.key is not None and not request.is_given_up:\n            if self._is_latest"),
    "who waits is forgotten": (keeper, "                entry.asks += (ask,)\n", "                pass\n"),
    "who waits is answered twice": (
        keeper, "tuple(ask for ask in entry.asks if not self._answer_if_possible(entry, ask))",
        "tuple(ask for ask in entry.asks if not self._answer_if_possible(entry, ask) or ask.purpose == RENEWAL)"),
    "a renewal goes on after its deadline": (
        keeper, "if renewal is None and self._now.monotonic >= ask.until:", "if False:"),
    "a first read goes on after its deadline": (keeper, "is_over = now >= ask.until", "is_over = False"),
    "an old key is kept from new readers": (keeper, "entry.is_stale = False  # it cannot", "pass  # it cannot"),
    "there is no cool-down": (keeper, "if now.monotonic < entry.cool_until:", "if False:"),
    "a new key clears no cool-down": (
        keeper, "entry.cool_delay, entry.cool_until, entry.cool_error = 0.0, 0.0, None", "pass"),
    "cool-downs do not double": (keeper, "min(entry.cool_delay * 2, timing.LONGEST_COOL_DOWN) or ", ""),
    "a cool-down goes on and on": (
        keeper, "max(began + timing.COOL_DOWN_END, now + timing.FIRST_COOL_DOWN / 2)", "now + 60.0"),
    "an accepted call ends no doubling": (keeper, "entry.cool_delay = 0.0\n", "pass\n"),
    "there is no floor": (keeper, ">= timing.FLOOR_READS", ">= 999"),
    "the floor is one too high": (keeper, ">= timing.FLOOR_READS", "> timing.FLOOR_READS"),
    "rotations count for the floor": (keeper, "if read.new_key != event.key)", ")"),
    "any answer is a rotation": (keeper, "if read is not None and key not in entry.former:", "if read is not None:"),
    "a failed refresh is the last": (
        keeper, "delay, error, error=error)\n        if not entry.is_idle:\n            self._schedule(entry)\n",
        "delay, error, error=error)\n"),
    "the signing of a provider leads to nothing": (keeper, "self._set_due_in(entry, 0.0)\n                entry.is_due", "entry.is_due"),
    "each signature leads to a refresh": (keeper, "if now >= (entry.signed_from or 0.0):", "if True:"),
    "a secret of a child is not scheduled": (keeper, "if self._refresh_in(entry, self._now) is None:", "if False:"),
    "what nobody uses is refreshed": (
        keeper, "entry.due_monotonic = entry.signed_from = None", "entry.signed_from = None"),
    "a jump of a clock is not seen": (keeper, "abs(ahead - self._ahead) > timing.CLOCK_JUMP", "False"),
    "it sleeps for hours": (keeper, "self._now.monotonic + timing.LONGEST_SLEEP", "self._now.monotonic + 9999.0"),
    "it is not woken": (keeper, "moment != entry.moment:", "False:"),
    "a name is never forgotten": (
        keeper, "return entry.cool_until + timing.MEMORY_OF_FAILURE * entry.cool_delay", "return None"),
    "a name is forgotten amid a request": (entry, "and not self.requests and", "and"),
    "a child answers who asked its parent": (
        entry, "self.asks: Tuple[Asked, ...] = ()", "self.asks = getattr(self, 'asks', ())"),
    "a child does not say what it heeds": (keeper, "            entry.is_heeded = False\n", ""),
    "a store that hangs is waited for": (keeper, "now >= entry.recovery.until:", "False:"),
    "two requests at a time": (fetching, "request = entry.live_request(gateway)", "request = None"),
    "a request is never given up": (fetching, "and now >= request.expires:", "and False:"),
    "any number of requests hangs": (fetching, "len(given_up) <= MOST_GIVEN_UP", "len(given_up) <= 9"),
    "there is no pace": (fetching, "[-MOST_REQUESTS] + PACE", "[-MOST_REQUESTS]"),
    "a good answer is no end": (fetching, "            self._ended(entry, None)\n", "            pass\n"),
    "attempts go on after the deadline": (fetching, "resume_at < fetch.deadline:", "True:"),
    "who must wait is not asked": (fetching, "fetch.held = gateway, may_begin", "pass"),
    "a request goes on after its fetch for ever": (fetching, "fetch.deadline + GRACE", "fetch.deadline + 99.0"),
    "refreshes do not back off": (
        refreshing, "return entry.refresh_failures > 0 and entry.retry_at > now.monotonic", "return False"),
    "an interval is twice as long": (refreshing, "delay = refresh_interval * ", "delay = 2 * refresh_interval * "),
}


def test_breakages_are_of_the_keeper_as_it_is():
    for breakage in BREAKAGES.values():
        changed(*breakage)


@pytest.mark.matrix
@pytest.mark.parametrize("breakage", sorted(BREAKAGES))
def test_the_machine_finds(breakage):
    assert_found(KeeperMachine, BREAKAGES[breakage], 2000)
