"""The base of handlers, which decide whether a service's error means a rejected key."""

import re
from typing import Any

from .exceptions import ConfigurationError

_REGION = r"(?i)\s*[a-z]{2,3}(-[a-z0-9]+)+\s*"


class AKExpireHandler:
    """Decides whether a service's error means that it rejected the key. Subclass it, and give an instance to a client.

    It is asked only about errors that a service answered to a request signed with the managed key.
    """

    def judge_ak_expire(self, exception: Exception) -> bool:
        """Return whether ``exception`` means that the service rejected the key.

        If this raises, the error is logged, and the answer counts as False.
        """
        raise NotImplementedError("a subclass of AKExpireHandler defines judge_ak_expire(exception)")


def require_handler(handler: Any) -> None:
    """Check a handler when a client is made, rather than at the first rotation.

    Raises:
        ConfigurationError: it has no method ``judge_ak_expire`` of its own that takes one exception. The message shows
            its type, not its value, which may be a secret if arguments were mixed up.
    """
    judge = getattr(handler, "judge_ak_expire", None)
    if callable(judge) and not isinstance(handler, type):
        _require_judgement(judge, type(handler).__name__)
        return
    what = "an object of the class {}".format(type(handler).__name__)
    hint = "give an object that has it, of a subclass of AKExpireHandler"
    if isinstance(handler, type):
        what = "the class {}".format(handler.__name__)
        if callable(judge) and handler is not AKExpireHandler:
            hint = "did you mean {}()?".format(handler.__name__)
    elif isinstance(handler, str) and re.fullmatch(_REGION, handler):
        what, hint = "a text that looks like a region", "did you mean region_id=?"
    elif isinstance(handler, (str, list, tuple, set, frozenset)):
        hint = "did you mean error codes? Give them to the plugin's own handler"
    elif callable(handler):
        what, hint = "a function", "make it the method judge_ak_expire of a subclass of AKExpireHandler"
    raise ConfigurationError(
        "ak_expire_handler is {}, not a handler with a method judge_ak_expire(exception); {}".format(what, hint))


def _require_judgement(judge: Any, name: str) -> None:
    from inspect import iscoroutinefunction, signature  # slow to import, and needed only here

    problem = ""
    if getattr(judge, "__func__", None) is AKExpireHandler.judge_ak_expire:
        problem = "judges nothing; define judge_ak_expire(self, exception) in a subclass"
    elif iscoroutinefunction(judge):  # a coroutine is always true
        problem = "is asynchronous; define it without async"
    try:
        signature(judge).bind(Exception())
    except TypeError:
        problem = "does not take one argument; define judge_ak_expire(self, exception)"
    except ValueError:  # a method written in C may have no signature
        pass
    if problem:
        raise ConfigurationError("ak_expire_handler is an object of the class {}, whose judge_ak_expire {}".format(
            name, problem))
