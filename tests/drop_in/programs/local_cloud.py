"""What the programs share: the local cloud, and how they print observations."""

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
    """Create a secret for this run. Return its name and the id of its key."""
    name = "{}/{}".format(os.environ["RUN"], name)
    return name, ask("POST", "/secrets", {"name": name})["access_key_id"]


def create_bucket():
    name = os.environ["RUN"]
    ask("POST", "/buckets", {"name": name})
    return name


def rotate(name):
    """Rotate a secret, so that services reject its former key. Return the id of the new key."""
    return ask("POST", "/secrets/rotate", {"name": name})["access_key_id"]


def describe_regions(client):
    """Call the API, and return the id of the key that the service accepted."""
    request = CommonRequest(domain=ENDPOINTS["api_endpoint"], version="2014-05-26", action_name="DescribeRegions")
    client.do_action_with_exception(request)
    return ask("GET", "/calls?service=api")["calls"][-1]["access_key_id"]


def show(observation, seen):
    print("{}: {!r}".format(observation, seen), flush=True)


def error_of(function, *arguments):
    """Return the class of Python or an SDK that a program catches when a function raises, and the error code."""
    try:
        function(*arguments)
    except Exception as error:
        known = next(each for each in type(error).__mro__
                     if each.__module__.split(".")[0] in ("builtins", "aliyunsdkcore", "oss2"))
        code = getattr(error, "code", None) or getattr(error, "error_code", None)
        return " ".join(filter(None, (known.__name__, code)))
    return "nothing"
