"""Imports, cached reads and calls do what ``benchmarks/shape.json`` says, and a change is reported."""

import copy
import errno
import json
from unittest import mock

import pytest

from benchmarks import shape, shape_counts

PLUGIN = "aliyun_sdk_secretsmanager_sdk_core_plugin"

needs_numbers = pytest.mark.skipif(
    not shape.stored(), reason="none are stored for this interpreter; nox -s shape -- --update stores them")


@needs_numbers
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning")  # python-ptrace
@pytest.mark.parametrize("plugin", sorted(shape.PLUGINS))
def test_imports_reads_and_calls_do_no_more_and_no_less_than_they_did(plugin):
    changed = shape.changes(plugin, shape.shape(plugin))

    assert not changed, changed


@needs_numbers
def test_system_calls_are_left_out_where_nobody_may_trace(monkeypatch):
    ptrace = pytest.importorskip("ptrace")
    debugger = pytest.importorskip("ptrace.debugger")
    denied = mock.Mock(side_effect=ptrace.PtraceError("denied", errno=errno.EPERM))
    monkeypatch.setattr(debugger.PtraceDebugger, "addProcess", denied)

    counted = shape.shape(PLUGIN)

    assert denied.called and "system calls" not in counted["call"] and "locks" in counted["call"]
    assert shape.changes(PLUGIN, counted) == ""


@needs_numbers
class TestChanges:
    @pytest.fixture
    def as_stored(self):
        return {scene: {what: {"somewhere": number} for what, number in counts.items()}
                for scene, counts in shape.stored()[PLUGIN].items()}

    def test_none_are_told_within_the_margins(self, as_stored):
        as_stored["call"]["functions"]["elsewhere"] = 8

        assert shape.changes(PLUGIN, as_stored) == ""

    @pytest.mark.parametrize("more", [1, -1])
    def test_each_is_told_with_both_numbers_the_place_and_what_to_do(self, as_stored, more):
        former = shape.numbers(as_stored)["cached read"]
        as_stored["cached read"]["locks"]["cache.py get"] = more

        first, last = shape.changes(PLUGIN, as_stored).splitlines()

        assert "cached read: locks changed from {} (give or take 0) to {}".format(
            former["locks"], former["locks"] + more) in first
        assert "cache.py get {}".format(more) in first
        assert "nox -s shape -- --update" in last

    def test_are_stored_where_they_are_meant(self, as_stored, monkeypatch, tmp_path):
        with open(shape.STORED) as file:
            before = json.load(file)
        monkeypatch.setattr(shape, "STORED", str(tmp_path / "shape.json"))
        (tmp_path / "shape.json").write_text(json.dumps(before))
        changed = copy.deepcopy(as_stored)
        changed["cached read"]["locks"]["cache.py get"] = 1

        shape.update(dict.fromkeys(shape.PLUGINS, changed))

        assert shape.changes(PLUGIN, changed) == ""
        assert "locks" in shape.changes(PLUGIN, as_stored)


class TestCounts:
    def test_functions_of_python_and_of_c(self):
        assert shape_counts.functions(lambda: {}.get("a")) == {
            "test_shape.py <lambda>": 1, "get": 1, "setprofile": 1}

    @pytest.mark.parametrize("make", [shape_counts._Lock, shape_counts._RLock], ids=["Lock", "RLock"])
    def test_locks_by_who_takes_them(self, make):
        lock = make()

        def take():
            with lock:
                pass
            lock.acquire()
            lock.release()

        assert shape_counts.locks(take) == {"test_shape.py take": 2}

    def test_what_is_done_in_every_round_beyond_the_plain(self):
        rounds = [{"a": 5, "b": 1}, {"a": 4}], [{"a": 3, "c": 2}, {"a": 3, "c": 1}]

        assert shape_counts.beyond(*([shape_counts.collections.Counter(each) for each in side] for side in rounds)) \
            == {"a": 1, "c": -1}
