"""What the programs share: the local cloud that they talk to, and how they say what they see."""

import json
import os
from urllib.request import Request, urlopen

from aliyunsdkcore.request import CommonRequest

CONTROL = os.environ["LOCAL_CLOUD"]


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode("ascii")
    with urlopen(Request(CONTROL + path, data, method=method)) as answer:
        return json.loads(answer.read().decode("utf-8"))


ENDPOINTS = ask("GET", "/")


def create_secret(name):
    """Create a secret of this run's own; return its name and the id of its key."""
    name = "{}/{}".format(os.environ["RUN"], name)
    return name, ask("POST", "/secrets", {"name": name})["access_key_id"]


def create_bucket():
    name = os.environ["RUN"]
    ask("POST", "/buckets", {"name": name})
    return name


def rotate(name):
    """Rotate a secret, and refuse its former key from now on; return the id of the new one."""
    return ask("POST", "/secrets/rotate", {"name": name})["access_key_id"]


def describe_regions(client):
    """Call the API; return the id of the key that the service took."""
    request = CommonRequest(domain=ENDPOINTS["api_endpoint"], version="2014-05-26", action_name="DescribeRegions")
    client.do_action_with_exception(request)
    return ask("GET", "/calls?service=api")["calls"][-1]["access_key_id"]


def show(observation, seen):
    print("{}: {!r}".format(observation, seen), flush=True)


def error_of(function, *arguments):
    """Return what a program would catch of what a function raises: a class of Python's or an SDK's, and the code."""
    try:
        function(*arguments)
    except Exception as error:
        known = next(each for each in type(error).__mro__
                     if each.__module__.split(".")[0] in ("builtins", "aliyunsdkcore", "oss2"))
        code = getattr(error, "code", None) or getattr(error, "error_code", None)
        return " ".join(filter(None, (known.__name__, code)))
    return "nothing"
