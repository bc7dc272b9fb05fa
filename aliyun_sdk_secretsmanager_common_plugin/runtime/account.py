"""One configuration in a process: its keeper, its gateways, the keys that readers find, and its subscribers."""

import _thread
import collections
import functools
import itertools
import weakref
from typing import Any, Callable, Deque, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from ..access_key import AccessKey, check_secret_name
from ..exceptions import ManagedCredentialsError
from ..keeper import FIRST_READ, REFRESH, RENEWAL, Keeper, Renewal, SecretStats, actions, events
from ..keeper.outcomes import no_answer, one_of_its_own
from ..secrecy import log_fields
from ..secrets_manager import Connections
from .executors import Callback, SerialExecutor
from .owner import Runtime, logger
from .tickets import Latch, Outcome, TaskTicket, Ticket
from .workers import Job

Subscriber = Callable[[str, AccessKey], None]

# Seconds for which an asker waits beyond its deadline: the keeper's answer says which gateway hangs.
MARGIN = 1.0
# Seconds for which an asker waits until subscribers have its key.
TELLING_PATIENCE = 1.0


class Backends(NamedTuple):
    """Where an account reads secrets from, and what keeps them. The functions run in threads, and may take long.

    Attributes:
        gateways: the gateways to Secrets Manager.
        read: (gateway, request, connections) -> an ``Ended`` with the key; it may raise.
        recover: (name, failure) -> a ``Recovered``; None where nothing is kept.
        keep: (name, key) -> None, called with each new key of Secrets Manager; None where nothing is kept.
        cache_file: catches up after each answer, and is told of forks; None if there is none.
        shared_store: the shared store; None if there is none.
        listener: (heard) -> a ``Listener``, which calls ``heard`` with each ``Announced``; None if there is no
            shared store.
    """

    gateways: Sequence[Any]
    read: Callable[[Any, actions.Request, Connections], events.Ended]
    recover: Optional[Callable[[str, Exception], events.Recovered]]
    keep: Optional[Callable[[str, AccessKey], Any]]
    cache_file: Any
    shared_store: Any = None
    listener: Any = None


class Client(weakref.ref):  # type: ignore[type-arg]
    """A weak reference to a client that uses a secret, and what is known of the client."""

    __slots__ = ("number", "secret_name", "after_fork")
    number: int
    secret_name: str
    after_fork: Callable[[Any], None]


class Keys(Dict[str, AccessKey]):
    """Keys by secret name; a secret that is missing is read."""

    def __init__(self, read: Callable[[str], AccessKey]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, name: str) -> AccessKey:
        return self._read(name)


class Account:
    """One configuration. Any thread may ask it; only the thread that has the turn changes its keeper.

    Args:
        runtime: the process's.
        keeper: decides about the secrets.
        backends: where secrets are read and kept.
        fetch_timeout: seconds that a first read may take.
        renew_timeout: seconds that a renewal may take.
        delays: returns the waits between the attempts of a first read, in seconds.

    Attributes:
        get: returns the key of a secret by its name. It is a dictionary read once the secret was read. It raises
            ServerException, ClientException or SecretFormatError if the first read fails, or failed in its cool-down.
        clients: the clients that use a secret, by number.
    """

    def __init__(
        self,
        runtime: Runtime,
        keeper: Keeper,
        backends: Backends,
        fetch_timeout: float,
        renew_timeout: float,
        delays: Callable[[], Iterable[float]],
    ) -> None:
        self._runtime = runtime
        self._keeper = keeper
        self._backends = backends
        self._fetch_timeout = fetch_timeout
        self._renew_timeout = renew_timeout
        self._delays = delays
        self._keys = Keys(self.first_read)
        self._keys_before_fork: Dict[str, AccessKey] = {}  # where a finalizer forks amid an event
        # The dictionary's own method: a Python function around it would take most of the time.
        self.get: Callable[[str], AccessKey] = self._keys.__getitem__
        self.clients: Dict[int, Client] = {}
        # Clients that were collected: an exception of a signal's handler can cut their finalizer short.
        self._collected: Deque[Client] = collections.deque()
        self._heeded: Set[str] = set()  # secrets of which the keeper wants to know that a key was accepted
        self._signed_from: Dict[str, float] = {}  # by secret: from when on the keeper wants to know of signatures
        self._subscribers: List[Tuple[Subscriber, SerialExecutor]] = []
        self._recovery_executor = SerialExecutor("managed-credentials-recovery")
        self._store_executor = SerialExecutor("managed-credentials-store")
        self._listener = None if backends.listener is None else backends.listener(self._heard)
        self._recovering: Set[str] = set()  # secrets for which a recovery runs
        # By secret: the operation that leaves its latest answer in the shared store, and what opens at its end.
        self._shares: Dict[str, Tuple[int, Latch]] = {}
        self._reading: Dict[int, str] = {}  # by worker's thread: the secret that it reads
        self._jobs: Dict[int, Job] = {}  # by the number of the request or operation
        self._task_tickets: Dict[Any, TaskTicket] = {}  # by event loop and what its tasks ask for
        self._tickets: Dict[int, Ticket] = {}  # of waiting threads, by the ticket's id

    def published_key(self, name: str) -> Optional[AccessKey]:
        """Return the key that readers find without asking the owner; None if they have to ask."""
        return self._keys.get(name)

    def held_key(self, name: str) -> Optional[AccessKey]:
        """Return the key that the keeper holds, published or not, as after a fork; None if it holds none."""
        return self._keeper.key(name)

    async def get_async(self, name: str) -> AccessKey:
        """Return what ``get`` returns, in a task of an event loop."""
        key = self._keys.get(name)
        if key is None:
            key = await self._await(FIRST_READ, name, self._fetch_timeout)
        return key

    def first_read(self, name: str) -> AccessKey:
        """Return what ``get`` returns, but always by way of the owner, after all events of the calling thread."""
        return self._ask(FIRST_READ, name, self._fetch_timeout)  # type: ignore[no-any-return]

    def begin_first_read(self, name: str) -> None:
        """Begin a first read, if it takes a fetch, without waiting for it."""
        self._runtime.put(self, self._asked(None, FIRST_READ, name, self._until(self._fetch_timeout), None))

    def preload(self, names: Sequence[str], wait: bool) -> None:
        """Read secrets, a few at a time, within ``fetch_timeout``.

        Args:
            names: the secrets.
            wait: whether to wait until all were read, or could not be.
        """
        until = self._until(self._fetch_timeout)
        event = events.Preload(Ticket() if wait else None, tuple(names), until, self._fetch_timeout, self._delays)
        if wait:
            self._outcome_of(event, until)
        else:
            self._runtime.put(self, event)

    def renew(self, name: str, rejected: AccessKey) -> Renewal:
        """Return another key than the rejected one, or why there is none, within ``renew_timeout``.

        A fetch happens only if the current key is the rejected one, once for all who ask, and not in the cool-down
        after a fetch that brought nothing.

        Args:
            name: the secret.
            rejected: the key that a service rejected.
        """
        known = self._renewal_without_fetch(name, rejected)
        return self._ask(RENEWAL, name, self._renew_timeout, rejected) if known is None else known

    async def renew_async(self, name: str, rejected: AccessKey) -> Renewal:
        """Return what ``renew`` returns, in a task of an event loop.

        Args:
            name: the secret.
            rejected: the key that a service rejected.
        """
        known = self._renewal_without_fetch(name, rejected)
        return await self._await(RENEWAL, name, self._renew_timeout, rejected) if known is None else known

    def begin_renewal(self, name: str, rejected: AccessKey) -> None:
        """Begin a renewal, if it takes a fetch, without waiting for it.

        Args:
            name: the secret.
            rejected: the key that a service rejected.
        """
        if self._renewal_without_fetch(name, rejected) is None:
            self._runtime.put(self, self._asked(None, RENEWAL, name, self._until(self._renew_timeout), rejected))

    def refresh(self, name: str) -> bool:
        """Read a secret from Secrets Manager now; return whether it was read.

        If there is a shared store, this waits a moment until the key is announced: the process may end, or be frozen,
        right afterwards.

        Raises:
            ServerException, ClientException, SecretFormatError: the secret was not yet read, and cannot be.
        """
        was_read = self._keeper.key(name) is not None
        is_read = bool(self._ask(REFRESH, name, self._renew_timeout if was_read else self._fetch_timeout))
        share = self._shares.get(name)
        if share is not None:
            share[1].wait(self._runtime.clock, self._until(TELLING_PATIENCE))
        return is_read

    def accepted(self, name: str, key: AccessKey) -> None:
        """Note that a service accepted a key, if the keeper wants to know.

        Args:
            name: the secret.
            key: the key.
        """
        if name in self._heeded:
            self._runtime.put(self, events.Accepted(name, key))

    def signed(self, name: str) -> None:
        """Note that somebody signs with the key of a secret, and will not renew it."""
        if self._runtime.clock.monotonic() >= self._signed_from.get(name, 0.0):
            self._runtime.put(self, events.Signed(name))

    def add_client(self, client: Any, name: str, after_fork: Callable[[Any], None]) -> Callable[[], None]:
        """Count a client that uses a secret, without keeping it alive.

        Args:
            client: the client.
            name: the secret.
            after_fork: called with the client in a forked child.

        Returns:
            A function that removes the client, unless it was collected before; to be called at least once.
        """
        number = next(_client_numbers)
        counted = Client(client, self._collected.append)
        counted.number, counted.secret_name, counted.after_fork = number, name, after_fork
        self.clients[number] = counted
        finalizer = weakref.finalize(client, self._remove_client, number)
        finalizer.atexit = False
        self._runtime.put(self, events.Leased(number, name))

        def remove() -> None:
            self._remove_client(number)
            finalizer.detach()

        return remove

    def _remove_client(self, number: int) -> None:
        if number in self.clients:
            self._runtime.put(self, events.Released(number))  # first, since an exception may come between
            self.clients.pop(number, None)

    def close(self) -> None:
        """Stop refreshing; a secret that is read later is refreshed again."""
        self._runtime.put(self, events.Closed())

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber(name, key)`` with every new key, in a thread of its own."""
        self._subscribers.append((subscriber, SerialExecutor("managed-credentials-subscriber")))

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Undo ``subscribe``.

        Raises:
            ValueError: it is no subscriber.
        """
        for each in list(self._subscribers):
            if each[0] == subscriber:
                self._subscribers.remove(each)
                return
        raise ValueError("{!r} is no subscriber".format(subscriber))

    def stats(self) -> Dict[str, SecretStats]:
        """Return the statistics of each secret, by its name."""
        return self._keeper.stats(self._runtime.now())

    def _renewal_without_fetch(self, name: str, rejected: AccessKey) -> Optional[Renewal]:
        """Return the outcome of a renewal if it is known already; None if it takes a fetch."""
        return self._keeper.renewal(name, rejected, self._runtime.now())

    def _until(self, seconds: float) -> float:
        return self._runtime.clock.monotonic() + seconds

    def _asked(self, ticket: Any, purpose: str, name: str, until: float, rejected: Optional[AccessKey]) -> events.Asked:
        if purpose == RENEWAL:
            return events.Asked(ticket, purpose, name, until, rejected)
        check_secret_name(name)
        return events.Asked(ticket, purpose, name, until, None, self._delays())

    def _ask(self, purpose: str, name: str, seconds: float, rejected: Optional[AccessKey] = None) -> Any:
        """Ask, and wait for the answer; whatever a signal's handler raises meanwhile reaches this caller alone."""
        if self._reading.get(_thread.get_ident()) == name:
            error = ManagedCredentialsError(
                "secret {!r}: a finalizer or other code that runs in the thread that reads this secret cannot wait for "
                "it; read it before, or in a thread of the program's own".format(name))
            if purpose == RENEWAL:
                return Renewal(None, error)
            raise error
        until = self._until(seconds)
        while True:
            outcome = self._outcome_of(self._asked(Ticket(), purpose, name, until, rejected), until)
            if not outcome.must_ask_again:
                return _value_of(outcome, purpose, name, seconds)

    def _outcome_of(self, event: Any, until: float) -> Outcome:
        """Put an event that has a ticket, and wait for the answer."""
        clock, ticket = self._runtime.clock, event.ticket
        try:
            self._tickets[id(ticket)] = ticket  # first: a child that is forked right after the event must find it
            self._runtime.put(self, event)
            if not self._runtime.wait(ticket, until + MARGIN):
                return Outcome(error=TimeoutError())
        finally:
            self._tickets.pop(id(ticket), None)  # whoever answers does so, too
        outcome: Outcome = ticket.outcome
        for level, message, args, fields in outcome.lines:
            logger.log(level, message, *args, extra=fields)
        patience = self._until(TELLING_PATIENCE)
        for callback in outcome.callbacks:
            callback.wait(clock, patience)
        return outcome

    async def _await(
        self, purpose: str, name: str, seconds: float, rejected: Optional[AccessKey] = None
    ) -> Any:
        """Ask as ``_ask`` does, in a task: tasks of one event loop that ask for the same share a ticket."""
        import asyncio

        loop = asyncio.events._get_running_loop()  # Python 3.6 has no get_running_loop()
        key = (loop, purpose, name, rejected)
        ticket = self._task_tickets.get(key)
        if ticket is None:
            def ended(ended: TaskTicket) -> None:
                if self._task_tickets.get(key) is ended:
                    self._task_tickets.pop(key, None)

            ticket = TaskTicket(loop, seconds + MARGIN, ended)
            event = self._asked(ticket, purpose, name, self._until(seconds), rejected)
            try:
                self._task_tickets[key] = ticket
                self._runtime.put(self, event)
                ticket.watch(self._runtime.attend)
            except BaseException:
                ended(ticket)
                raise
        return _value_of(await asyncio.shield(ticket.future), purpose, name, seconds)

    def take(self, event: Any) -> None:
        """Give an event to the keeper, and carry out its actions; called by the thread that has the turn."""
        while self._collected:
            self._remove_client(self._collected.popleft().number)
        number: Optional[int] = None
        if isinstance(event, _JobEnded):
            number = event.number
            self._jobs.pop(number, None)
            self._runtime.workers.done(event.job, self._runtime.clock.monotonic())
            event = event.ended
        try:
            wanted = self._keeper.handle(event, self._runtime.now())
        except Exception:
            self._do(self._keeper.left_undone())  # answers to other askers may be among these actions
            raise
        self._do(wanted)
        for name, (share, latch) in list(self._shares.items()):  # hardly ever more than one
            if share == number:
                del self._shares[name]
                latch.set()

    def wake_at(self) -> Optional[float]:
        """Return when the account needs a tick, by the monotonic clock; None for never."""
        return self._keeper.wake_at()

    def _do(self, wanted: List[Any]) -> None:
        """Carry out actions of the keeper, in their order."""
        callbacks: List[Callback] = []
        lines: List[Any] = []
        answers: List[actions.Answer] = []
        for action in wanted:
            kind = type(action)
            if kind is actions.Publish:
                self._publish(action)
            elif kind is actions.Answer:
                answers.append(action)
            elif kind is actions.Request:
                self._request(action)
            elif kind in _STORE_ACTIONS:
                self._operate(action)
            elif kind is actions.Tell:
                callbacks += self._tell(action)
            elif kind is actions.Log:
                if _is_enabled(action.level):
                    lines.append(action)
            elif kind is actions.Heed:
                (self._heeded.add if action.wanted else self._heeded.discard)(action.name)
            elif kind is actions.HeedSigned:
                self._signed_from[action.name] = action.moment
            elif kind is actions.Stored:
                if self._backends.cache_file is not None:
                    self._store_executor.submit(self._backends.cache_file.catch_up)
            elif kind is actions.GiveUp:
                if action.number in self._jobs:
                    self._runtime.workers.give_up(self._jobs.pop(action.number))
            elif kind is actions.Recover:
                self._recover(action)
        self._answer(answers, tuple(lines), tuple(callbacks))

    def after_fork_in_child(self) -> None:
        """Go on in a forked child with the keys, but with nothing in flight and no thread, socket or lock."""
        if self._listener is not None:
            self._listener.reset()  # first: whoever stops it would cut the parent's connection
            self._backends.shared_store.after_fork_in_child()
        for executor in self.executors():
            executor.reset()
        for job in self._jobs.values():
            if job.worker is not None:
                job.worker.connections.forget()
        self._jobs.clear()
        self._reading.clear()
        self._recovering.clear()
        self._shares.clear()
        self._heeded.clear()
        self._signed_from.clear()
        self._task_tickets.clear()
        tickets, self._tickets = self._tickets, {}
        if self._keeper.is_amid:
            self._keeper = self._keeper.born_again(self._keys or self._keys_before_fork)
        self._keys.clear()
        self._do(self._keeper.handle(events.Forked(), self._runtime.now()))
        for ticket in tickets.values():
            ticket.forget()
        if self._backends.cache_file is not None:
            self._backends.cache_file.after_fork_in_child()
        for gateway in self._backends.gateways:
            gateway.after_fork_in_child()
        for client in list(self.clients.values()):
            alive = client()
            if alive is not None:
                try:
                    client.after_fork(alive)
                except Exception:
                    logger.exception("secret %r: a client keeps sockets of its parent process", client.secret_name,
                                     extra=log_fields(client.secret_name))

    def before_fork(self) -> None:
        """Wait a moment for a write of the cache file, and unpublish all keys.

        The next read in either process then asks the owner, which starts and goes on with the refreshes.
        """
        if self._backends.cache_file is not None:
            self._backends.cache_file.await_write()
        self._keys_before_fork = dict(self._keys) if self._keeper.is_amid else {}
        self._keys.clear()

    def await_silence(self, until: float) -> None:
        """Stop hearing announcements, before a fork, and wait for that; the next key that is published goes on.

        Args:
            until: when to wait no longer, by the system's monotonic clock.
        """
        if self._listener is not None:
            self._listener.await_end(until)

    def await_shared(self, until: float) -> None:
        """Wait, at the end of the program, until the shared store has the last answers.

        Args:
            until: when to wait no longer, by the monotonic clock.
        """
        for _, latch in list(self._shares.values()):
            latch.wait(self._runtime.clock, until)

    def await_kept(self) -> None:
        """Wait a moment until what keeps secrets has the last key."""
        if self._store_executor.last is not None:
            self._store_executor.last.wait(self._runtime.clock, self._until(TELLING_PATIENCE))

    def executors(self) -> List[SerialExecutor]:
        """Return the executors that run the program's own code for this account."""
        return [executor for _, executor in list(self._subscribers)] + [self._recovery_executor, self._store_executor]

    def _answer(self, answers: List[actions.Answer], lines: Tuple[Any, ...], callbacks: Tuple[Callback, ...]) -> None:
        """Answer the askers. The first thread among them writes the lines, which are about its call."""
        for answer in answers:
            waits = id(answer.ticket) in self._tickets
            answer.ticket.set(Outcome(answer.value, answer.error, lines if waits else (), callbacks))
            self._tickets.pop(id(answer.ticket), None)
            if waits:
                lines = ()
        if lines:
            self._runtime.write(lines)

    def _publish(self, action: actions.Publish) -> None:
        if action.key is not None:
            self._keys[action.name] = action.key
        else:
            self._keys.pop(action.name, None)
        if self._listener is not None:
            (self._listener.begin if self._keys else self._listener.stop)()

    def _request(self, action: actions.Request) -> None:
        gateway = self._backends.gateways[action.gateway]
        self._begin_job(action.number, functools.partial(self._read, gateway, action), lambda error: events.Ended(
            action.number, None, ClientException(
                error_code.SDK_HTTP_ERROR, "cannot ask Secrets Manager: {}".format(error))))

    def _operate(self, action: Any) -> None:
        """Carry out an operation of the shared store."""
        if type(action) is actions.Share:
            self._shares[action.name] = action.number, Latch()
        run = functools.partial(self._backends.shared_store.run, action)
        self._begin_job(action.number, run, lambda error: events.StoreEnded(
            action.number, error="no thread can be started ({})".format(error)))

    def _begin_job(
        self, number: int, run: Callable[[Connections], Any], failed: Callable[[RuntimeError], Any]
    ) -> None:
        """Have a worker do something that comes to an event for the keeper.

        Args:
            number: the number of the request or operation.
            run: does it, and returns the event.
            failed: returns the event if no thread can be started.
        """
        def ended(job: Job, outcome: Any) -> None:
            event = failed(outcome) if isinstance(outcome, RuntimeError) else outcome
            self._runtime.put_from_worker(self, _JobEnded(job, number, event))
            self._reading.pop(_thread.get_ident(), None)  # not before: nobody has the answer until then

        job = self._jobs[number] = Job(run, ended)
        self._runtime.workers.begin(job)

    def _heard(self, event: Any) -> None:
        self._runtime.put_from_worker(self, event)

    def _read(self, gateway: Any, action: actions.Request, connections: Connections) -> events.Ended:
        """Ask a gateway; called in a worker."""
        self._reading[_thread.get_ident()] = action.name
        try:
            return self._backends.read(gateway, action, connections)
        except (ServerException, ClientException, ManagedCredentialsError) as error:
            # The traceback and the chain lead to frames that hold keys and requests.
            error.__traceback__ = error.__cause__ = error.__context__ = None
            return events.Ended(action.number, None, error)
        except BaseException as error:  # its text may contain a secret
            problem = "secret {!r}: {} was raised while {!r} was asked, which nobody expected; please report it"
            return events.Ended(action.number, None, ManagedCredentialsError(
                problem.format(action.name, type(error).__name__, gateway)))

    def _recover(self, action: actions.Recover) -> None:
        recover = self._backends.recover
        assert recover is not None  # nosec B101  # for the type checker
        if action.name in self._recovering:
            return  # a store that hangs is not asked again and again

        def run() -> None:
            recovered = events.Recovered(action.name, None)
            try:
                recovered = recover(action.name, action.failure)
            finally:
                self._recovering.discard(action.name)
                self._runtime.put(self, recovered)

        self._recovering.add(action.name)
        self._recovery_executor.submit(run)

    def _tell(self, action: actions.Tell) -> List[Callback]:
        told = list(self._subscribers)
        if self._backends.keep is not None and not action.is_recovered:
            told.append((self._backends.keep, self._store_executor))
        return [executor.submit(functools.partial(_call, subscriber, action.name, action.key))
                for subscriber, executor in told]


_STORE_ACTIONS = (actions.Take, actions.Share, actions.Free, actions.Probe)

_client_numbers = itertools.count()


class _JobEnded(NamedTuple):
    """A worker has done a job, which came to an event for the keeper."""

    job: Job
    number: int
    ended: Any


def _call(subscriber: Subscriber, name: str, key: AccessKey) -> None:
    try:
        subscriber(name, key)
    except Exception as error:
        # The traceback and the text are left out: they may contain the key.
        logger.error("secret %r: a subscriber failed with %s", name, type(error).__name__,
                     extra=log_fields(name, key, type(error).__name__))


def _value_of(outcome: Outcome, purpose: str, name: str, seconds: float) -> Any:
    """Return the value of an outcome, or raise its error."""
    error = outcome.error
    if error is None:
        return outcome.value
    if isinstance(error, TimeoutError):  # nobody answered in time
        error = no_answer((), name, seconds)
        if purpose == RENEWAL:
            return Renewal(None, error)
        if purpose == REFRESH:
            return False
    try:
        raise one_of_its_own(error)
    finally:
        del outcome, error  # the error's traceback holds this frame


def _is_enabled(level: int) -> bool:
    """Return what ``Logger.isEnabledFor`` returns, which takes a lock."""
    return level > logger.manager.disable and level >= logger.getEffectiveLevel()
