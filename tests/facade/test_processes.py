"""Programs with clients, in an interpreter of their own, where no other test left a thread."""

import os
import subprocess
import sys
import textwrap
import time

import pytest


def run_python(script):
    """Run a script in an interpreter of its own, where no other test left a thread; return what it printed."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    process = subprocess.Popen(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=root), universal_newlines=True)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == 0, err
    return out, err


PRELUDE = """
    import os, sys, threading, warnings
    from aliyun_sdk_secretsmanager_common_plugin import DefaultAKExpireHandler, AccessKey, ManagedCredentials
    from aliyun_sdk_secretsmanager_common_plugin.runtime import process
    from aliyun_sdk_secretsmanager_common_plugin.settings import Settings

    class Client:
        pass

    keys = [AccessKey("id", "secret", version_id="v")]
    credentials = ManagedCredentials(Settings(), lambda name, seconds: keys[-1])
    client = Client()
    client.lease = credentials.lease(client, "app/key", DefaultAKExpireHandler(), lambda client: None)
"""


class TestProcesses:
    """In an interpreter of their own."""

    def test_no_warning_about_threads_of_this_package(self):
        """Contract 9: from 3.12 on a fork of a process with threads warns."""
        out, err = run_python(PRELUDE + """
    forks = 0
    assert process.thread().is_alive()
    credentials.subscribe(lambda name, key: None)
    for number in range(8):  # more would be a storm: no service accepted these keys
        former = client.lease.access_key()
        keys.append(AccessKey("id-{}".format(number), "secret", version_id="v"))
        assert credentials.renew("app/key", former) == keys[-1]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            child = os.fork()
            if child == 0:
                os._exit(0 if client.lease.access_key() == keys[-1] else 1)
            assert os.waitpid(child, 0)[1] == 0
        for warning in caught:
            print(warning.message)
        forks += 1
    client.lease.access_key()
    assert process.thread().is_alive()
    print(forks)
""")
        assert out == "8\n"

    def test_interpreter_ends_at_once_with_clients(self):
        out, err = run_python(PRELUDE + """
    print(process.thread().is_alive())
""")
        assert out == "True\n"
        assert err == ""

    def test_subscribers_are_told_before_the_interpreter_ends(self):
        out, err = run_python(PRELUDE + """
    import asyncio

    def subscriber(name, key):
        threading.Event().wait(0.1)
        print(key.access_key_id)

    credentials.subscribe(subscriber)
    keys.append(AccessKey("new", "secret", version_id="v"))

    async def main():
        await credentials.renew_async("app/key", keys[0])  # a task does not wait for them

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
""")
        assert out == "new\n"
        assert err == ""

    def test_subscriber_that_hangs_does_not_hold_up_the_end_for_long(self):
        began = time.monotonic()
        out, err = run_python(PRELUDE + """
    credentials.subscribe(lambda name, key: threading.Event().wait())
    keys.append(AccessKey("new", "secret", version_id="v"))
    print(credentials.renew("app/key", keys[0]).access_key_id)
""")
        assert (out, err) == ("new\n", "")
        assert time.monotonic() - began < 30

    def test_reads_renews_and_makes_clients_while_the_interpreter_ends(self):
        """Python 3.12 and later give no thread to atexit handlers."""
        out, err = run_python(PRELUDE + """
    import atexit, asyncio

    def last():
        keys.append(AccessKey("new", "secret", version_id="v"))
        print(credentials.renew("app/key", keys[0]).access_key_id)
        other = Client()
        other.lease = credentials.lease(other, "other/key", DefaultAKExpireHandler(), lambda client: None)
        print(other.lease.access_key().access_key_id)
        other.lease.close()
        loop = asyncio.new_event_loop()
        print(loop.run_until_complete(credentials.get_async("third/key")).access_key_id)
        loop.close()
        print(credentials.refresh("third/key"))
        client.lease.close()

    atexit.register(last)
""")
        assert out == "new\nnew\nnew\nTrue\n"
        assert err == ""

    def test_thread_that_outlives_the_main_thread_reads(self):
        out, err = run_python(PRELUDE + """
    def read():
        threading.main_thread().join()
        keys.append(AccessKey("new", "secret", version_id="v"))
        os.write(1, (credentials.get("other/key").access_key_id + credentials.renew("app/key", keys[0]).access_key_id
                     ).encode("ascii"))

    for _ in range(3):
        threading.Thread(target=read).start()
""")
        assert out == 3 * "newnew"
        assert err == ""

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_multiprocessing(self, method, tmp_path):
        script = tmp_path / "worker.py"
        script.write_text(textwrap.dedent(PRELUDE) + textwrap.dedent("""
    def work(number):
        return client.lease.access_key().access_key_id, number

    if __name__ == "__main__":
        import multiprocessing

        with multiprocessing.get_context({!r}).Pool(2) as pool:
            print(pool.map(work, range(4)))
    """.format(method)))
        out, _ = run_python("""
    import runpy, sys
    sys.argv = [{0!r}]
    sys.path.insert(0, {1!r})
    import subprocess
    subprocess.check_call([sys.executable, {0!r}])
""".format(str(script), str(tmp_path)))

        assert out == "[('id', 0), ('id', 1), ('id', 2), ('id', 3)]\n"
