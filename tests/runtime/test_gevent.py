"""Greenlets of a program that gevent patched, in an interpreter of their own."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.instance import ROOT

pytest.importorskip("gevent")

PATCHED = """
    from gevent import monkey
    monkey.patch_all()
    import gevent, os, sys, threading
    from aliyun_sdk_secretsmanager_common_plugin import AccessKey, ManagedCredentials
    from aliyun_sdk_secretsmanager_common_plugin.settings import Settings

    keys, going_on, asked = [AccessKey("first", "secret")], threading.Event(), threading.Event()
    going_on.set()

    def fetch(name, seconds):
        asked.set()
        going_on.wait()
        return keys[-1]

    credentials = ManagedCredentials(Settings(), fetch)
    first = credentials.get("app/key")
"""


def run(program):
    """Return what a program prints."""
    return subprocess.check_output(
        [sys.executable, "-c", textwrap.dedent(PATCHED) + textwrap.dedent(program)],
        env=dict(os.environ, PYTHONPATH=ROOT), universal_newlines=True, timeout=60)


def test_fifty_greenlets_share_a_renewal():
    assert run("""
    keys.append(AccessKey("second", "secret"))
    renewing = [gevent.spawn(credentials.renew, "app/key", first) for _ in range(50)]
    gevent.joinall(renewing)
    print({each.value.access_key_id for each in renewing}, credentials.stats()["app/key"].fetches)
    """) == "{'second'} 2\n"


def test_one_that_lives_on_in_a_forked_child_is_answered_there():
    assert run("""
    going_on.clear()
    asked.clear()
    keys.append(AccessKey("parent", "secret"))
    renewing = gevent.spawn(credentials.renew, "app/key", first)
    asked.wait()
    child = os.fork()
    if child == 0:
        keys.append(AccessKey("child", "secret"))
    going_on.set()
    value = renewing.get(timeout=20).access_key_id
    if child == 0:
        os._exit(7 if value == "child" else 1)
    print(value, os.WEXITSTATUS(os.waitpid(child, 0)[1]))
    """) == "parent 7\n"
