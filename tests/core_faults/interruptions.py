"""Interrupts a thread as a signal's handler does, but at each line in turn instead of at a random moment."""

import sys
import threading

# Only a broken product takes as long.
PATIENCE = 60
# An interruption in these modules would leave locks of the standard library taken.
_SPARED = "logging"


class Interrupted(Exception):
    """A time limit of the caller's own."""


class Swallowed(AssertionError):
    """An exception of a handler did not reach the caller."""


def interrupted(function, at, action, package=""):
    """Call a function; before its line number ``at``, in whatever frame of this thread, call ``action``.

    Args:
        package: only lines of modules whose name begins so count.

    Returns:
        Where that was, None where the function had fewer lines.
    """
    left = [at]
    where = []

    def trace(frame, event, arg):
        name = frame.f_globals.get("__name__", "")
        if name.startswith(_SPARED) or not name.startswith(package):
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                where.append("{}:{}".format(name, frame.f_lineno))
                sys.settrace(None)
                action()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return where[0] if where else None


def raised_at_each_line(function, check, error=Interrupted, package=""):
    """Raise an error at each line of a function in turn, and call a check each time.

    Args:
        function: called with the number of the line.
        check: likewise, after the function was interrupted.

    Raises:
        Swallowed: the error did not reach the caller.
    """
    at = 0
    is_over = False
    while not is_over:
        at += 1

        def fail():
            raise error("at line {}".format(at))

        try:
            where = interrupted(lambda: function(at), at, fail, package)
        except error:
            pass
        else:
            if where is not None:
                raise Swallowed(where)
            is_over = True
        check(at)
    assert at > 5, "nothing was interrupted"


def done_at_each_line(function, action, package=""):
    """Do something at each line of a function in turn, as a handler does that returns."""
    at = 1
    while interrupted(lambda: function(at), at, lambda: action(at), package) is not None:
        at += 1
    assert at > 5, "nothing was interrupted"


def in_time(function):
    """Call a function in a thread of its own; fail where it hangs."""
    outcome = []

    def run():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert outcome, "it hangs"
    value, error = outcome[0]
    if error is not None:
        raise error
    return value
