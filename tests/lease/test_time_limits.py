"""An exception that a signal's handler raises, such as a time limit, amid the judging or the rewinding of a call."""

import functools
import signal

import pytest

from .world import B, InBothWays, Judge


class TimeLimit(Exception):
    pass


def give_up(*args):
    raise TimeLimit


class Limit:
    def __call__(self, number, frame):
        raise TimeLimit


HANDLERS = {"a function": give_up, "a partial function": functools.partial(give_up, "and", "more"), "an object": Limit(),
            "a method": Limit().__call__}
SIGNALS = [each for each in (getattr(signal, "SIGHUP", None), signal.SIGTERM) if each is not None]


@pytest.fixture(params=SIGNALS)
def number(request):
    former = signal.getsignal(request.param)
    yield request.param
    signal.signal(request.param, former)


@pytest.mark.parametrize("handler", sorted(HANDLERS))
class TestTimeLimit(InBothWays):
    @pytest.fixture
    def interrupt(self, handler, number):
        """Do what the interpreter does when the signal arrives."""
        signal.signal(number, HANDLERS[handler])

        def interrupted(*args):
            signal.getsignal(number)(number, None)

        return interrupted

    def test_amid_the_judging_reaches_the_caller(self, world, interrupt):
        world.rotate(B)
        world.accepts = {B}

        with pytest.raises(TimeLimit):
            world.call(world.lease(Judge(interrupt)))

    def test_amid_the_rewinding_reaches_the_caller(self, world, interrupt):
        world.rotate(B)
        world.accepts = {B}

        with pytest.raises(TimeLimit):
            world.call(rewind=interrupt)


def test_the_same_error_of_the_judge_itself_is_a_judgement(world):
    world.accepts = {B}

    assert world.call(world.lease(Judge(give_up))) == ("refusal", world.errors[0])
