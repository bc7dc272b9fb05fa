"""The contract of plugins: a right plugin passes it, and each mistake fails one of its tests."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.instance import ROOT

PLUGIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "small_plugin.py")
# The test that fails for each mistake; others may fail, too.
NOTICED = {
    "TestSignsWithTheFirstKey": "test_call_over_a_rotation_is_sent_again_with_the_new_key",
    "TestForgetsTheToken": "test_tokens_come_and_go",
    "TestTakesFalseHandlersForNone": "test_what_is_no_handler_is_refused_when_the_client_is_made",
    "TestTakesDenialsForRejections": "test_error_that_is_none_of_the_keys_surfaces_at_once[denied]",
    "TestPutsTheKeyIntoTheClient": "test_call_leaves_the_attributes_of_the_client_as_they_were",
    "TestKeepsTheSocketsOfItsParent": "test_forked_child_has_connections_of_its_own_and_reads_nothing_again",
    "TestLogsTheToken": "test_logs_show_no_secret",
    "TestShowsTheSecret": "test_repr_shows_no_key",
    "TestKeepsEveryClient": "test_client_that_is_dropped_is_not_kept_alive",
    "TestNeverShutsDown": "test_with_block_ends_with_the_shutdown",
    "TestUsesTheDefaultCredentials": "test_credentials_that_are_given_are_used",
    "TestDoesNotRewind": "test_body_arrives_whole_over_a_rotation",
}


def run(directory, *chosen):
    """Run the tests of these classes with the testing package alone; return those that failed, and all."""
    file = str(directory / "test_small_plugin.py")
    shutil.copy(PLUGIN, file)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:managed_credentials",
               "-p", "aliyun_sdk_secretsmanager_testing.pytest_plugin", "-rA", "--tb=line"]
    done = subprocess.run(command + [file + "::" + each for each in chosen], cwd=str(directory),
                          env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    shown = done.stdout.decode()
    return {"::".join(found) for found in re.findall(r"^FAILED \S+::(\w+)::([\w\[\]]+)", shown, re.M)}, shown


@pytest.mark.slow
def test_plugin_without_a_mistake_passes(tmp_path):
    failed, shown = run(tmp_path, "TestRight", "TestProvider")

    assert failed == set() and re.search(r"^\d+ passed", shown, re.M), shown


@pytest.mark.slow
def test_each_mistake_is_noticed(tmp_path):
    mistakes = {"{}::{}".format(*each) for each in NOTICED.items()}

    failed, shown = run(tmp_path, *mistakes)

    assert failed == mistakes, shown
