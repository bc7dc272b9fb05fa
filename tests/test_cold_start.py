"""A process that starts while Secrets Manager is down: the cache file, and a recovery strategy of the program's own."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, ManagedCredentials, SecretFormatError
from aliyun_sdk_secretsmanager_common_plugin.compat.credentials_provider import SecretRecoveryStrategy
from aliyun_sdk_secretsmanager_common_plugin.keeper import timing
from aliyun_sdk_secretsmanager_common_plugin.runtime import process
from aliyun_sdk_secretsmanager_common_plugin.secret_info import CacheSecretInfo, SecretInfo
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from aliyun_sdk_secretsmanager_common_plugin.stores import cache_file
from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault
from tests import stacks
from tests.common.fakes import Running
from tests.conftest import SECRET, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATIENCE = 20
PASSWORD = "ThePasswordThatNobodyMaySee"

SILENT = [Fault.refuse(), Fault.reset(), Fault.hang(), Fault.cut(), Fault.html(502), Fault.status(500),
          Fault.status(503), Fault.throttling(), Fault.expired_certificate(), Fault.untrusted_certificate()]


@pytest.fixture(autouse=True)
def cheap_scrypt_and_time_to_write(monkeypatch):
    monkeypatch.setattr(cache_file, "COST", {"n": 2, "r": 1, "p": 1})
    monkeypatch.setattr(cache_file, "WRITE_PATIENCE", PATIENCE)
    monkeypatch.setattr(cache_file, "END_PATIENCE", PATIENCE)


CACHE_FILE = {"cache_file_path": "keys.cache", "cache_file_password_from_file_path": "cache-password.txt"}


@pytest.fixture
def write(cloud, tmp_path):
    """Write the properties file, with timeouts for a busy machine unless others are given."""
    (tmp_path / "cache-password.txt").write_text(PASSWORD + "\n")
    return lambda **more: cloud.write_properties(tmp_path, **dict({"fetch_timeout_milliseconds": 20000}, **more))


@pytest.fixture
def properties(write):
    """A properties file with a cache file."""
    return write(**CACHE_FILE)


@pytest.fixture
def down(cloud, write, properties):
    """A function that makes Secrets Manager be down; processes that start later do not wait long for it."""

    def be_down(fault=None, **more):
        cloud.inject("secrets_manager", fault or Fault.refuse())
        write(**dict(CACHE_FILE, fetch_timeout_milliseconds=1200, **more))

    return be_down


@pytest.fixture
def start(properties):
    """A function that makes credentials like a new process, with nothing in memory."""
    started = []

    def begin(**options):
        started.append(ManagedCredentials.from_properties(properties, **options))
        return started[-1]

    yield begin
    for credentials in started:
        credentials.close()


@pytest.fixture
def kept(start):
    """Read the secret as an earlier process."""
    credentials = start()
    credentials.get(SECRET)
    credentials.close()


@pytest.fixture
def call(cloud, closing):
    """A function that calls the business API with a new client."""

    def do(credentials):
        client = closing(ProxyAcsClient(SECRET, managed_credentials=credentials))
        request = CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions")
        return client.do_action_with_exception(request)

    return do


def current(cloud):
    return cloud.secret(SECRET).current.access_key_id


def await_written(credentials):
    """Wait until the cache file was told of the last read, and has written it."""
    credentials._account.await_kept()
    credentials._cache_file.await_write()


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records
            if record.levelno >= logging.WARNING and "no region answered" in record.getMessage()]


class TestCacheFile:
    @pytest.mark.parametrize("fault", SILENT, ids=repr)
    def test_its_key_serves_where_no_region_answers(self, cloud, kept, start, down, call, caplog, fault):
        caplog.set_level(logging.DEBUG)
        down(fault)

        call(start())

        assert cloud.calls("api")[-1].access_key_id == current(cloud)
        (warning,) = warnings_in(caplog)
        key = cloud.secret(SECRET).current
        assert "{}********{}".format(key.access_key_id[:4], key.access_key_id[-4:]) in warning
        assert "(read 0.0 hours ago)" in warning
        assert key.access_key_secret not in caplog.text
        assert PASSWORD not in caplog.text

    def test_its_key_serves_where_no_name_is_resolved(self, cloud, kept, start, write, caplog, monkeypatch):
        write(fetch_timeout_milliseconds=600, **CACHE_FILE)

        def fail(*ignored, **options):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)

        assert start().get(SECRET).access_key_id == current(cloud)
        assert "Name or service not known" in warnings_in(caplog)[0]

    def test_its_key_serves_all_threads_that_wait_for_the_first_read(self, cloud, kept, start, down, in_threads):
        down()
        credentials = start()

        keys = in_threads([lambda: credentials.get(SECRET)] * 16)

        assert {key.access_key_id for key in keys} == {current(cloud)}

    def test_secret_names_are_read_from_it(self, kept, start, down, caplog):
        down(secret_names=SECRET)
        credentials = start()

        assert credentials.get(SECRET)
        assert "could not be read at start" not in caplog.text

    @pytest.mark.parametrize("refuse, error", [
        (lambda cloud: cloud.inject("secrets_manager", Fault.forbidden()), ServerException),
        (lambda cloud: cloud.delete_secret(SECRET), ServerException),
        (lambda cloud: cloud.disable_key(cloud.identity.access_key_id), ServerException),
        (lambda cloud: cloud.put_secret_value(SECRET, "no key"), SecretFormatError),
    ], ids=["forbidden", "no such secret", "identity", "no key"])
    def test_is_not_used_where_secrets_manager_refuses(self, cloud, kept, start, caplog, refuse, error):
        refuse(cloud)

        with pytest.raises(error):
            start().get(SECRET)
        assert warnings_in(caplog) == []

    def test_is_not_used_for_a_key_that_has_ended(self, cloud, start, caplog, monkeypatch, down):
        cloud.create_secret("temporary", token=True, expires_in=3600)
        credentials = start()
        ends = credentials.get("temporary").expires
        credentials.close()
        down()
        monkeypatch.setattr(process.clock, "time", lambda: ends)

        with pytest.raises(ClientException):
            start().get("temporary")
        assert "was kept, but has expired" in caplog.text
        assert warnings_in(caplog) == []

    def test_is_not_used_for_a_renewal_or_a_refresh(self, cloud, start, call, caplog):
        credentials = start()
        call(credentials)
        cloud.rotate(SECRET)
        cloud.inject("secrets_manager", Fault.refuse())

        with pytest.raises(ServerException):
            call(credentials)
        assert not credentials.refresh(SECRET)
        assert warnings_in(caplog) == []

    def test_without_an_entry_the_error_surfaces(self, cloud, kept, start, down):
        cloud.create_secret("another")
        down()

        with pytest.raises(ClientException):
            start().get("another")

    def test_rotation_is_kept_and_a_refresh_is_not_written(self, cloud, start, call, tmp_path, down):
        credentials = start()
        call(credentials)
        cloud.rotate(SECRET)
        call(credentials)
        await_written(credentials)
        written = os.stat(str(tmp_path / "keys.cache")).st_ino
        assert credentials.refresh(SECRET)
        await_written(credentials)
        assert os.stat(str(tmp_path / "keys.cache")).st_ino == written
        down()

        assert start().get(SECRET).access_key_id == current(cloud)

    def test_its_key_is_not_kept_again_and_keeps_its_age(self, cloud, kept, start, tmp_path, caplog, monkeypatch, down):
        written = os.stat(str(tmp_path / "keys.cache")).st_ino
        down()
        now = time.time
        monkeypatch.setattr(process.clock, "time", lambda: now() + 7200)
        credentials = start()
        credentials.get(SECRET)
        await_written(credentials)

        assert os.stat(str(tmp_path / "keys.cache")).st_ino == written
        assert "(read 2.0 hours ago)" in warnings_in(caplog)[0]
        assert 7000 < credentials.stats()[SECRET].age < 7400

    def test_secrets_manager_is_asked_again_soon_until_it_answers(self, cloud, kept, start, monkeypatch, caplog, down):
        monkeypatch.setattr(timing, "FIRST_REFRESH_DELAY", 0.1)
        down(Fault.reset())
        credentials = start()
        credentials.get(SECRET)
        wait_until(lambda: caplog.text.count("refresh failed") >= 2)
        new = cloud.rotate(SECRET)
        cloud.clear()

        wait_until(lambda: credentials.get(SECRET).access_key_id == new.access_key_id)
        wait_until(lambda: credentials.stats()[SECRET].next_refresh > 60)  # scheduled once the key is there
        await_written(credentials)
        down(Fault.reset())
        assert start().get(SECRET).access_key_id == new.access_key_id

    def test_refresh_is_due_within_two_seconds_also_for_the_next_clients(self, cloud, kept, start, down):
        down()
        credentials = start()
        for _ in range(3):
            credentials.get(SECRET)
            assert 0 <= credentials.stats()[SECRET].next_refresh <= 2
            credentials.close()

    def test_key_that_was_rotated_meanwhile_is_renewed_as_always(self, cloud, kept, start, call, down):
        cloud.rotate(SECRET)
        down()
        credentials = start()
        with pytest.raises(ServerException) as caught:
            call(credentials)
        assert caught.value.get_error_code() == "InvalidAccessKeyId.NotFound"
        assert isinstance(caught.value.__cause__, ClientException)
        cloud.clear()

        def works():
            try:
                return call(credentials)
            except ServerException:
                return False

        wait_until(works)
        assert cloud.calls("api")[-1].access_key_id == current(cloud)

    def test_wrong_password_shows_at_the_start(self, kept, start, tmp_path):
        (tmp_path / "cache-password.txt").write_text("another password")

        with pytest.raises(ConfigurationError, match="keys.cache: the password does not open it"):
            start()

    def test_spoilt_file_is_a_log_line_and_the_error_of_the_outage_surfaces(self, cloud, kept, start, tmp_path, caplog, down):
        down()
        credentials = start()
        os.chmod(str(tmp_path / "keys.cache"), 0o644)

        with pytest.raises(ClientException):
            credentials.get(SECRET)
        assert "what was kept of it cannot be used" in caplog.text
        assert "chmod 600" in caplog.text

    def test_disk_that_is_full_costs_no_call(self, cloud, start, call, caplog, monkeypatch, tmp_path, down):
        def fail(descriptor):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr(os, "fsync", fail)
            credentials = start()
            call(credentials)
            cloud.rotate(SECRET)
            call(credentials)
            await_written(credentials)
        assert "No space left on device" in caplog.text
        assert not (tmp_path / "keys.cache").exists()

        assert credentials.refresh(SECRET)  # reads what the start could not
        await_written(credentials)
        down()
        assert start().get(SECRET).access_key_id == current(cloud)


@pytest.mark.parametrize("end", [
    lambda credentials, client: client.shutdown(), lambda credentials, client: credentials.close()],
    ids=["client", "credentials"])
def test_end_waits_until_the_cache_file_is_written(properties, start, monkeypatch, tmp_path, end):
    entered, go_on = threading.Event(), threading.Event()
    replace = os.replace

    def replace_when_it_may(*paths):
        entered.set()
        assert go_on.wait(PATIENCE)
        replace(*paths)

    monkeypatch.setattr(os, "replace", replace_when_it_may)
    credentials = start()
    client = ProxyAcsClient(SECRET, managed_credentials=credentials)
    assert entered.wait(PATIENCE)
    ending = Running(lambda: end(credentials, client) or (tmp_path / "keys.cache").exists())
    assert ending.alive()
    go_on.set()

    assert ending.result()


@pytest.mark.parametrize("text", [
    '{"AccessKeyId": "LTAI5tKept", "AccessKeySecret": "half\\r\\nhalf"}', '{"AccessKeyId": "LTAI5tKept\u5bc6", '
    '"AccessKeySecret": "half"}', "[" * 100000 + "half"], ids=["line end", "no ascii", "deep"])
def test_what_is_no_key_is_not_recovered(start, down, caplog, text):
    down()
    store = Store()
    store.kept[SECRET] = text

    with pytest.raises(ClientException, match="no answer"):
        start(recovery=store).get(SECRET)
    assert "what was kept of it cannot be used: " in caplog.text
    assert "check the secret in Secrets Manager" in caplog.text or "no JSON object" in caplog.text
    assert "half" not in caplog.text


@pytest.mark.parametrize("read", [None, "soon", float("nan"), -1, float("inf"), 10 ** 400, [], "1970-01-01T00:00:00Z"],
                         ids=lambda read: repr(read)[:20])
def test_what_was_kept_serves_whatever_its_dates_say(start, down, read):
    class Dated(Store):
        def recover_get_secret(self, secret_name):
            return CacheSecretInfo(refresh_time_stamp=read, secret_info=super().recover_get_secret(secret_name))

    down()
    store = Dated()
    store.kept[SECRET] = '{"AccessKeyId": "LTAI5tKept", "AccessKeySecret": "x", "ExpireTimestamp": -1}'

    assert start(recovery=store).get(SECRET).access_key_id == "LTAI5tKept"


class Store(SecretRecoveryStrategy):
    """A recovery strategy of the program's own, which keeps the text of secrets."""

    def __init__(self):
        self.kept = {}

    def keep_secret(self, secret_info):
        self.kept[secret_info.secret_name] = secret_info.secret_value

    def recover_get_secret(self, secret_name):
        text = self.kept.get(secret_name)
        return None if text is None else SecretInfo(secret_name, secret_value=text)


class TestRecoveryStrategy:
    @pytest.fixture
    def properties(self, write):
        return write()

    @pytest.fixture
    def down(self, cloud, write):
        def be_down(**more):
            cloud.inject("secrets_manager", Fault.refuse())
            write(fetch_timeout_milliseconds=600, **more)

        return be_down

    def test_keeps_new_secrets_and_gives_them_while_no_region_answers(self, cloud, start, down, call, caplog):
        store = Store()
        credentials = start(recovery=store)
        call(credentials)
        cloud.rotate(SECRET)
        call(credentials)
        down()

        call(start(recovery=store))

        assert cloud.calls("api")[-1].access_key_id == current(cloud)
        assert len(warnings_in(caplog)) == 1
        assert "hours ago" not in warnings_in(caplog)[0]  # the strategy did not say when it was read

    def test_of_another_library_needs_no_more_than_to_recover(self, start, down):
        class Recovery:
            def recover_get_secret(self, secret_name):
                return SecretInfo(secret_name, secret_value='{"AccessKeyId": "LTAI5tKept", "AccessKeySecret": "s"}')

        start(recovery=Recovery()).get(SECRET)
        down()

        assert start(recovery=Recovery()).get(SECRET).access_key_id == "LTAI5tKept"

    @pytest.mark.parametrize("error", [
        RuntimeError("the secret"), ClientException("the secret", "the secret"),
        ServerException("the secret", "the secret", 500, "1")],
        ids=lambda error: type(error).__name__)
    def test_what_it_raises_is_shown_by_its_type_alone(self, start, down, caplog, error):
        class Broken(SecretRecoveryStrategy):
            def keep_secret(self, secret_info):
                raise error

            recover_get_secret = keep_secret

        caplog.set_level(logging.DEBUG)
        start(recovery=Broken()).get(SECRET)
        assert "a subscriber failed with " + type(error).__name__ in caplog.text
        down(secret_names=SECRET)

        with pytest.raises(ClientException) as caught:
            start(recovery=Broken()).get(SECRET)

        assert "what was kept of it cannot be used: " + type(error).__name__ in caplog.text
        assert "could not be read at start" in caplog.text
        assert "the secret" not in caplog.text
        assert "the secret" not in str(caught.value)
        assert "the secret" not in {getattr(record, "error_code", None) for record in caplog.records}

    def test_has_a_part_of_the_time_of_a_first_read_and_none_of_a_renewal(self):
        asked = []

        def fetch(name, timeout):
            asked.append(timeout)
            raise ClientException("SDK.HttpError", "no answer")

        store = Store()
        store.kept[SECRET] = '{"AccessKeyId": "LTAI5tKept", "AccessKeySecret": "s"}'
        with ManagedCredentials(Settings(fetch_timeout=0.2), fetch, recovery=store) as credentials:
            assert credentials.renew(SECRET, credentials.get(SECRET)) is None

        first_read, renewal = asked
        assert 0.1 < first_read <= 0.15
        assert 1.5 < renewal <= 2

    def test_is_asked_before_the_cache_file(self, cloud, write, down, start):
        write(**CACHE_FILE)
        store = Store()
        credentials = start(recovery=store)
        credentials.get(SECRET)
        await_written(credentials)
        down(**CACHE_FILE)
        store.kept[SECRET] = '{"AccessKeyId": "LTAI5tKept", "AccessKeySecret": "s"}'

        assert start(recovery=store).get(SECRET).access_key_id == "LTAI5tKept"
        store.kept.clear()
        assert start(recovery=store).get(SECRET).access_key_id == current(cloud)


def test_error_of_the_programs_own_at_a_first_read_is_shown_by_its_type_alone(caplog):
    def fetch(*arguments):
        raise RuntimeError("what it has")

    ManagedCredentials(Settings(secret_names=(SECRET,)), fetch)._preload()

    assert "secret_names: {!r} could not be read at start: secret {!r}: the fetch function raised RuntimeError".format(
        SECRET, SECRET) in caplog.text
    assert "what it has" not in caplog.text


PROGRAM = """
import os, sys, time, warnings
from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.stores import cache_file

cache_file.COST = {"n": 2, "r": 1, "p": 1}
cache_file.WRITE_PATIENCE = 20
replace = cache_file.CacheFile._replace

def replace_slowly(file, content):
    time.sleep(0.02)
    replace(file, content)

cache_file.CacheFile._replace = replace_slowly
with ManagedCredentials.from_properties(sys.argv[1]) as credentials:
    for name in sys.argv[2:]:
        print(credentials.get(name).access_key_id)
        sys.stdout.flush()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            child = os.fork()  # from Python 3.12 on it warns of any other thread
            if child == 0:
                os._exit(0 if credentials.get(name).access_key_id else 1)
            assert os.waitpid(child, 0)[1] == 0
        for warning in caught:
            print(warning.message)
"""


SHORT_PROGRAM = """
import os, sys, time
from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.stores import cache_file
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

cache_file.COST = {"n": 2, "r": 1, "p": 1}
cache_file.END_PATIENCE = 20
replace = os.replace
os.replace = lambda *paths: time.sleep(0.1) or replace(*paths)  # a slow disk
client = ProxyAcsClient(sys.argv[1])
client.shutdown()
os._exit(3)
"""


def test_short_program_that_shuts_its_client_down_leaves_the_cache_file(cloud, properties, start, down, tmp_path):
    program = subprocess.run([sys.executable, "-c", SHORT_PROGRAM, SECRET], cwd=str(tmp_path), timeout=60, env=dict(
        os.environ, PYTHONPATH=ROOT))
    assert program.returncode == 3
    down()

    assert start().get(SECRET).access_key_id == current(cloud)


def test_processes_that_fork_right_after_a_read_keep_what_later_ones_start_with(cloud, properties, down, tmp_path):
    names = ["app/{}".format(number) for number in range(6)]
    ids = [cloud.create_secret(name).current.access_key_id for name in names]

    def run(names):
        return subprocess.Popen([sys.executable, "-c", PROGRAM, properties] + names, cwd=str(tmp_path), env=dict(
            os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
            start_new_session=True)

    def outcome(process):
        out, err = stacks.outcome(process)
        assert process.returncode == 0, err
        return out.split()

    both = [run(names[:3]), run(names[3:])]
    assert [outcome(process) for process in both] == [ids[:3], ids[3:]]
    down()

    assert outcome(run(names[::5])) == ids[::5]
