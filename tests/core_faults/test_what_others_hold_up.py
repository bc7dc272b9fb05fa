"""Code of the program that blocks, and wrong names, do not delay other secrets."""

import threading

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings, load_settings

from ..conftest import wait_until
from .vault import Vault


@pytest.mark.slow  # refreshes are a second apart
def test_subscribers_that_block_hold_up_no_refresh(cloud, tmp_path):
    path = cloud.write_properties(tmp_path, refresh_interval_milliseconds=1000)
    names = ["app/{}".format(number) for number in range(8)]
    for name in names + ["other"]:
        cloud.create_secret(name)
    blocked = threading.Event()

    def current(name):
        return cloud.secret(name).current.access_key_id

    with ManagedCredentials(load_settings(path)) as credentials, ManagedCredentials(load_settings(path)) as others:
        for _ in range(4):
            credentials.subscribe(lambda name, key: blocked.wait(60))
        threads = [threading.Thread(target=credentials.get, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        others.get("other")
        for name in names + ["other"]:
            cloud.rotate(name, grace=60)

        wait_until(lambda: others.get("other").access_key_id == current("other"))
        wait_until(lambda: all(credentials.get(name).access_key_id == current(name) for name in names))
        blocked.set()


@pytest.mark.slow  # longer than the cool-down
def test_names_that_cannot_be_read_are_forgotten():
    def refuse(name):
        raise ServerException("Forbidden.ResourceNotFound", "there is no such secret", 404)

    with ManagedCredentials(Settings(), secrets_client=Vault(refuse)) as credentials:
        for number in range(200):
            with pytest.raises(ServerException):
                credentials.get("wrong/{}".format(number))

        wait_until(lambda: not credentials.stats())
