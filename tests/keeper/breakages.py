"""Keepers that are broken on purpose: what checks the keeper must find each of them."""

import inspect
import types

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from aliyun_sdk_secretsmanager_common_plugin.keeper import keeper


def changed(sound, text, replacement):
    """Return a copy of a module in which one text is replaced."""
    source = inspect.getsource(sound)
    assert source.count(text) == 1, "{} has changed: break it in another way than {!r}".format(sound.__name__, text)
    module = types.ModuleType(sound.__name__)
    module.__package__ = sound.__package__
    exec(compile(source.replace(text, replacement), sound.__file__, "exec"), vars(module))
    return module


def broken_keeper(sound, text, replacement):
    """Return the class of a keeper of which one text in one of its modules is replaced."""
    unsound = changed(sound, text, replacement)
    whole = unsound
    if sound is not keeper:
        whole = changed(keeper, "class Keeper:", "class Keeper:")
        vars(whole).update((name, value) for name, value in vars(unsound).items()
                           if name in vars(whole) and not name.startswith("__"))
    return whole.Keeper


def assert_found(machine, breakage, most):
    """Check that random steps find a broken keeper.

    Args:
        machine: the class of the state machine, with a ``keeper_class``.
        breakage: the module, a text in it, and the text that replaces it.
        most: how many runs it may take.
    """
    class Broken(machine):
        keeper_class = broken_keeper(*breakage)

    until_found = hypothesis_settings(
        machine.TestCase.settings, max_examples=most, phases=[Phase.generate], report_multiple_bugs=False)

    with pytest.raises((AssertionError, LookupError, TypeError)):
        run_state_machine_as_test(Broken, settings=until_found)
