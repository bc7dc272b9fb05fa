"""Functions for the programs of these tests: calls that name their process in the cloud's log, forks, and messages."""

import json
import os
import sys
import traceback

from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

SECRET = "app/key"


def new_client(secret_name=SECRET, **arguments):
    return ProxyAcsClient(secret_name, **arguments)


def call(client):
    """Make a call; return the id of this process, and the masked id of the key that the answer names."""
    request = CommonRequest(
        domain=os.environ["API"], version="2014-05-26", action_name="In{}".format(os.getpid()))
    answer = json.loads(client.do_action_with_exception(request).decode("utf-8"))
    return os.getpid(), answer["AccessKeyId"]


def in_child(function):
    """Run a function in a forked child, wait for its end, and check that it succeeded."""
    child = os.fork()
    if child == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0, "the child failed"


def tell(what):
    """Send the test a message."""
    print(json.dumps(what), flush=True)


def wait():
    """Wait until the test calls ``Program.go_on``."""
    sys.stdin.readline()
