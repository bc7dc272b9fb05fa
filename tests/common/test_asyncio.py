"""Contracts 2 to 4 for tasks of event loops: one fetch for threads and tasks, no blocked loop, cancellation."""

import asyncio
import contextlib
import functools
import gc
import importlib
import subprocess
import sys
import threading
import weakref

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials, ManagedCredentialsError, ReplayError
from aliyun_sdk_secretsmanager_common_plugin.keeper import Renewal
from aliyun_sdk_secretsmanager_common_plugin.runtime import in_event_loop
from aliyun_sdk_secretsmanager_common_plugin.runtime.workers import IDLE
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from tests import tasks as event_loops
from tests.conftest import SECRET, wait_until
from tests.forks import in_child
from tests.instance import ROOT
from tests.lease.world import WAITS, A, B, C, Codes, Judge, ServiceError, World

from .fakes import PATIENCE, Gate, Running, Source, key

NAME = "app/key"
FETCH_THREAD = "managed-credentials-fetch"
run = functools.partial(event_loops.run, seconds=PATIENCE)
until = functools.partial(event_loops.until, seconds=PATIENCE)


class Tasks:
    """The world of the lease's tests, seen by tasks."""

    def __init__(self, world):
        self.world = world

    async def send(self, pull):
        return self.world.send(pull)

    async def call(self, lease=None, send=None, rewind=lambda: None):
        return await (lease or self.world.lease()).call_async(send or self.send, rewind)


def account_of(source):
    return ManagedCredentials(Settings(), source)._account


@pytest.fixture
def world(clock, runtime):
    return World(clock, new_account=lambda source, clock: account_of(source))


@pytest.fixture
def tasks(world):
    return Tasks(world)


@pytest.fixture
def source():
    return Source(A)


@pytest.fixture
def opened(source):
    """Each secret has a key of its own, which is given once this is set."""
    event = threading.Event()

    def answer(asked):
        assert event.wait(PATIENCE)
        return key(asked.name)

    source.answer = answer
    return event


@pytest.fixture
def account(source, runtime):
    return account_of(source)


class TestRead:
    def test_of_a_cached_secret_asks_nobody(self, account, monkeypatch):
        account.get(NAME)
        with monkeypatch.context() as patched:
            patched.setattr(account, "_runtime", None)
            assert run(account.get_async(NAME)) is A

    def test_first_one_happens_once_for_tasks_and_threads_of_all_loops_and_blocks_none(self, account, source):
        gate = source.answer = Gate(A)
        entered = []

        async def main():
            readers = [asyncio.ensure_future(account.get_async(NAME)) for _ in range(100)]
            await until(gate.entered.is_set)
            entered.append(True)
            await until(lambda: len(entered) == 3)  # each loop runs on while the fetch hangs
            gate.open()
            return await asyncio.gather(*readers)

        loops = [Running(lambda: run(main())) for _ in range(3)]
        thread = Running(lambda: account.get(NAME))

        assert thread.result() is A
        assert all(one is A for loop in loops for one in loop.result())
        assert len(source.asked) == 1

    def test_of_several_secrets_at_once_gives_each_its_own_key(self, account, source, opened):
        async def main():
            account.begin_first_read("a")
            account.begin_first_read("b")
            await until(lambda: len(source.asked) == 2)
            reading = [asyncio.ensure_future(account.get_async(name)) for name in "abc"]
            await until(lambda: len(source.asked) == 3)
            opened.set()
            return await asyncio.gather(*reading)

        assert run(main()) == [key("a"), key("b"), key("c")]

    def test_cancelled_task_leaves_at_once_and_the_others_get_the_answer(self, account, source):
        gate = source.answer = Gate(A)

        async def main():
            first = asyncio.ensure_future(account.get_async(NAME))
            second = asyncio.ensure_future(account.get_async(NAME))
            await until(gate.entered.is_set)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            gate.open()
            return await second

        assert run(main()) is A
        assert len(source.asked) == 1

    def test_answer_is_kept_when_all_who_asked_were_cancelled(self, account, source):
        gate = source.answer = Gate(A)

        async def main():
            task = asyncio.ensure_future(account.get_async(NAME))
            await until(gate.entered.is_set)
            task.cancel()

        run(main())
        gate.open()

        assert account.get(NAME) is A
        assert len(source.asked) == 1

    def test_loop_that_closed_meanwhile_is_no_matter_and_not_kept(self, account, source, caplog):
        gate = source.answer = Gate(A)
        loops = []

        def new_loop():
            loop = asyncio.new_event_loop()
            loops.append(weakref.ref(loop))
            return loop

        async def leave():
            task = asyncio.ensure_future(account.get_async(NAME))
            await until(gate.entered.is_set)
            task.cancel()

        event_loops.run(leave(), new_loop, PATIENCE)
        gate.open()

        assert account.get(NAME) is A
        gc.collect()
        assert [loop() for loop in loops] == [None]
        assert caplog.records == []

    def test_each_task_raises_an_error_of_its_own(self, account, source):
        source.answer = ClientException("Own.Code", "no answer")
        account._delays = lambda: ()

        async def main():
            readers = [account.get_async(NAME) for _ in range(10)]
            return await asyncio.gather(*readers, return_exceptions=True)

        errors = run(main())
        assert {error.error_code for error in errors} == {"Own.Code"}
        assert len({id(error) for error in errors}) == 10
        assert len(source.asked) == 1

    def test_fetch_that_ends_its_thread_is_an_error_and_the_next_one_is_made_anew(self, account, source, clock):
        def answer(asked):
            raise SystemExit(1)

        source.answer = answer
        with pytest.raises(ManagedCredentialsError, match="SystemExit"):
            run(account.get_async(NAME))
        source.answer = A
        clock.advance(1)

        assert run(account.get_async(NAME)) is A

    def test_is_over_at_its_deadline_though_nobody_answers(self, account, source, runtime, clock):
        gate = source.answer = Gate(A)

        async def main():
            reading = asyncio.ensure_future(account.get_async(NAME))
            await until(gate.entered.is_set)
            clock.advance(60)
            runtime.wake()
            with pytest.raises(ClientException, match="no answer within"):
                await reading

        run(main())
        gate.open()

    def test_where_no_thread_can_be_had_is_an_error_of_its_own_within_its_time(self, account, no_threads, clock):
        account._delays = lambda: ()

        with pytest.raises(ClientException, match="new thread"):
            run(account.get_async(NAME))

    def test_ahead_does_not_wait(self, account, source):
        gate = source.answer = Gate(A)
        account.begin_first_read(NAME)
        gate.wait_entered()
        assert account.published_key(NAME) is None
        gate.open()

        assert run(account.get_async(NAME)) is A
        assert len(source.asked) == 1

    def test_after_a_fork_nothing_is_awaited_of_the_parents_threads(self, account, source, runtime):
        gate = source.answer = Gate(A)
        account.begin_first_read(NAME)
        gate.wait_entered()

        def child():
            runtime.check_process()  # as clients do where there are no hooks
            source.answer = B
            return run(account.get_async(NAME))

        assert in_child(child) == B
        gate.open()


class TestRenewAndReplay:
    def test_rejected_key_is_renewed_and_the_call_replayed(self, world, tasks):
        world.rotate(B)
        world.accepts = {B}

        assert run(tasks.call()) == ("answer", None)
        assert world.sent() == [A, B]

    def test_thousand_tasks_need_one_renewal_and_no_thread_of_their_own(self, world, tasks, monkeypatch):
        world.rotate(B)
        world.accepts = {B}
        lease = world.lease()
        started = []
        start = threading.Thread.start
        monkeypatch.setattr(threading.Thread, "start", lambda thread: started.append(thread) or start(thread))

        async def send(pull):
            one = pull()
            await asyncio.sleep(0)  # so that all have sent before the first learns of its rejection
            return world.send(lambda: one)

        async def main():
            return await asyncio.gather(*[tasks.call(lease, send) for _ in range(1000)])

        assert run(main()) == [("answer", None)] * 1000
        assert len(world.source.asked) == 2
        assert [thread.name for thread in started if thread.name != FETCH_THREAD] == []

    def test_renewals_of_several_secrets_at_once_give_each_its_own_key(self, account, source, opened):
        async def main():
            renewing = [asyncio.ensure_future(account.renew_async(name, A)) for name in "abc"]  # none was read yet
            await until(lambda: len(source.asked) == 3)
            opened.set()
            return await asyncio.gather(*renewing)

        assert [renewal.key for renewal in run(main())] == [key("a"), key("b"), key("c")]

    def test_renewal_in_a_cool_down_asks_nobody(self, account, source, monkeypatch):
        account.get(NAME)
        assert run(account.renew_async(NAME, A)).key is None
        monkeypatch.setattr(account, "_await", None)

        assert run(account.renew_async(NAME, A)) == Renewal(None)
        assert len(source.asked) == 2

    def test_renewal_that_hangs_blocks_no_loop_and_survives_cancellation(self, world, tasks):
        world.rotate(B)
        gate = world.source.answer = Gate(B)
        world.accepts = {B}

        async def main():
            first, second = [asyncio.ensure_future(tasks.call()) for _ in range(2)]
            await until(gate.entered.is_set)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            gate.open()
            return await second

        assert run(main()) == ("answer", None)
        assert len(world.source.asked) == 2

    def test_renewal_is_shared_with_threads(self, world, tasks):
        world.rotate(B)
        gate = world.source.answer = Gate(B)
        world.accepts = {B}
        thread = Running(world.call)
        gate.wait_entered()

        async def main():
            task = asyncio.ensure_future(tasks.call())
            await until(lambda: world.events.count("renew") == 2)
            gate.open()
            return await task

        assert run(main()) == thread.result() == ("answer", None)
        assert len(world.source.asked) == 2

    def test_young_key_is_tried_again_after_each_wait(self, world, tasks):
        world.rotate(B)
        world.accepts = set()

        _, error = run(tasks.call())

        assert world.clock.sleeps == WAITS
        assert error is world.errors[-1]

    def test_wait_is_the_tasks_alone(self, clock):
        import inspect

        from aliyun_sdk_secretsmanager_common_plugin.clock import Clock

        assert inspect.iscoroutinefunction(Clock.sleep_async)

        async def main():
            order = []

            async def sleeper():
                await Clock().sleep_async(0.01)
                order.append("slept")

            task = asyncio.ensure_future(sleeper())
            await asyncio.sleep(0)
            order.append("went on")
            await task
            return order

        assert run(main()) == ["went on", "slept"]

    def test_failed_renewal_is_the_cause(self, world, tasks):
        world.rotate(ClientException("SDK.HttpError", "no answer"))
        world.accepts = set()

        _, error = run(tasks.call())

        assert error is world.errors[0]
        assert error.__cause__.error_code == "SDK.HttpError"

    def test_no_thread_for_the_renewal_is_the_cause(self, world, tasks, runtime, request):
        world.rotate(B)
        world.accepts = set()
        wait_until(lambda: runtime.workers.wake_at() is not None)
        world.clock.advance(IDLE)
        runtime.wake()
        wait_until(lambda: runtime.workers.wake_at() is None)
        request.getfixturevalue("no_threads")

        _, error = run(tasks.call())

        assert error is world.errors[0]
        assert "new thread" in str(error.__cause__)

    def test_request_that_cannot_be_rewound_is_not_sent_again(self, world, tasks):
        world.rotate(B)
        world.accepts = {B}

        _, error = run(tasks.call(rewind=lambda: ReplayError("it cannot be read twice")))

        assert world.sent() == [A]
        assert isinstance(error.__cause__, ReplayError)

    def test_task_cancelled_while_it_sends_is_cancelled_and_not_judged(self, world):
        world.account.get(NAME)
        judge = Judge()

        async def send(key):
            await asyncio.sleep(PATIENCE * 10)

        async def main():
            task = asyncio.ensure_future(world.lease(judge).replay_async(send))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())
        assert judge.judged == []

    def test_replay_returns_or_raises_what_send_did_last(self, world):
        world.rotate(B)
        world.accepts = {B}
        errors = []

        async def send(one):
            if one in world.accepts:
                return "answer"
            errors.append(ServiceError("InvalidAccessKeyId"))
            raise errors[-1]

        assert run(world.lease().replay_async(send)) == "answer"
        world.accepts = set()
        with pytest.raises(ServiceError) as caught:
            run(world.lease().replay_async(send))
        assert caught.value is errors[-1]

    def test_of_a_closed_lease_says_so(self, world, tasks):
        lease = world.lease()
        lease.close()

        with pytest.raises(ManagedCredentialsError, match="was shut down"):
            run(tasks.call(lease))
        with pytest.raises(ManagedCredentialsError, match="was shut down"):
            run(lease.access_key_async())

    def test_access_key_is_the_current_one(self, world):
        assert run(world.lease().access_key_async()) is A

    def test_failed_call_leaves_nothing_to_the_garbage_collector(self, world):
        class Body:
            pass

        body = Body()
        reference = weakref.ref(body)
        world.rotate(B)
        world.accepts = set()
        lease = world.lease()

        async def send(one, body):
            raise ServiceError("InvalidAccessKeyId")

        async def main(body):
            with pytest.raises(ServiceError):
                await lease.replay_async(lambda one: send(one, body))

        gc.collect()
        gc.disable()
        try:
            run(main(body))
            del body
            assert reference() is None
        finally:
            gc.enable()


class TestFacade:
    """What it does in an event loop, and what it leaves to those who have none."""

    def test_reads_and_renews(self, cloud, credentials):
        async def main():
            first = await credentials.get_async(SECRET)
            new = cloud.rotate(SECRET)
            return await credentials.renew_async(SECRET, first), new

        renewed, new = run(main())
        assert renewed.access_key_id == new.access_key_id

    def test_preloads_without_waiting_in_a_loop(self, cloud, tmp_path):
        from aliyun_sdk_secretsmanager_testing import Fault

        cloud.inject("secrets_manager", Fault.hang())
        path = cloud.write_properties(tmp_path, secret_names=SECRET, fetch_timeout_milliseconds=PATIENCE * 1000)

        async def main():
            with ManagedCredentials.from_properties(path) as credentials:
                cloud.clear()
                return await credentials.get_async(SECRET)

        assert run(main()).access_key_id == cloud.secret(SECRET).current.access_key_id

    def test_lease_that_does_not_wait_leaves_the_error_to_the_first_call(self, credentials):
        class Client:
            pass

        client = Client()
        lease = credentials.lease(client, "missing", Codes(), lambda client: None, wait=False)

        with pytest.raises(Exception, match="check the secret's name"):
            run(lease.access_key_async())
        lease.close()

    def test_knows_whether_a_loop_runs_in_this_thread(self, in_threads):
        async def main():
            return in_event_loop(), in_threads([in_event_loop])[0]

        assert run(main()) == (True, False)
        assert not in_event_loop()

    @pytest.mark.slow
    def test_programs_without_a_loop_import_nothing_of_it(self):
        program = (
            "import sys, aliyun_sdk_secretsmanager_sdk_core_plugin, aliyun_sdk_secretsmanager_oss_plugin\n"
            "from aliyun_sdk_secretsmanager_common_plugin.runtime import in_event_loop\n"
            "assert not in_event_loop()\n"
            "print([name for name in ('asyncio', 'concurrent.futures', 'aiohttp') if name in sys.modules])"
        )

        imported = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, universal_newlines=True)

        assert imported == "[]\n"


class TestLoopsOfOthers:
    def test_uvloop(self, world, tasks):
        uvloop = pytest.importorskip("uvloop")
        world.rotate(B)
        world.accepts = {B}

        async def main():
            return await asyncio.gather(*[tasks.call() for _ in range(100)])

        assert run(main(), uvloop.new_event_loop) == [("answer", None)] * 100
        assert len(world.source.asked) == 2

    def test_several_in_several_threads(self, world, tasks, in_threads):
        world.rotate(B, C)
        world.accepts = {B, C}

        async def main():
            return await asyncio.gather(*[tasks.call() for _ in range(50)])

        answers = in_threads([lambda: run(main())] * 4)

        assert answers == [[("answer", None)] * 50] * 4
        assert len(world.source.asked) == 2


def in_a_callback(coroutine):
    """Drive a coroutine in a loop that runs, but in no task."""
    outcome = []

    def drive():
        try:
            outcome.append(event_loops.drive(coroutine))
        except BaseException as error:
            outcome.append(error)

    async def main():
        asyncio.get_event_loop().call_soon(drive)
        await until(lambda: outcome)

    run(main())
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def trio_for(coroutine):
    """Return the module trio; where it is missing, skip the test without a warning about its coroutine."""
    try:
        return importlib.import_module("trio")
    except ImportError:
        coroutine.close()
        pytest.skip("could not import trio")


def under_trio(coroutine):
    trio = trio_for(coroutine)

    async def main():
        return await coroutine

    return trio.run(main)


def under_trio_as_a_guest(coroutine):
    trio = trio_for(coroutine)

    async def awaited():
        return await coroutine

    async def main():
        loop, ended = asyncio.get_event_loop(), asyncio.Event()
        outcomes = []

        def done(outcome):
            outcomes.append(outcome)
            ended.set()

        trio.lowlevel.start_guest_run(
            awaited, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=done)
        await ended.wait()
        return outcomes[0].unwrap()

    return run(main())


@pytest.mark.parametrize("drive", [event_loops.drive, in_a_callback, under_trio, under_trio_as_a_guest],
                         ids=["no loop", "no task", "trio", "trio in a loop"])
@pytest.mark.parametrize("begin", [
    lambda credentials, lease, send: credentials.get_async(SECRET),
    lambda credentials, lease, send: credentials.renew_async(SECRET, lease.access_key()),
    lambda credentials, lease, send: lease.access_key_async(),
    lambda credentials, lease, send: lease.call_async(send, lambda: None),
    lambda credentials, lease, send: lease.replay_async(send),
], ids=["get_async", "renew_async", "access_key_async", "call_async", "replay_async"])
class TestOutsideOfAsyncio:
    def test_error_says_what_is_supported(self, credentials, begin, drive):
        async def send(pull):
            raise AssertionError("it was sent")

        client = Tasks(None)  # whatever can be referred to weakly
        with contextlib.closing(credentials.lease(client, SECRET, Judge(), lambda client: None)) as lease:
            lease.access_key()  # a key that is there is no reason to go on
            with pytest.raises(ManagedCredentialsError, match="a task of asyncio"):
                drive(begin(credentials, lease, send))
