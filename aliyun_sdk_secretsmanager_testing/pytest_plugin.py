"""Fixtures for tests of applications with managed credentials; pytest loads them by the entry point ``pytest11``."""
import os
from typing import TYPE_CHECKING, Any, Iterator

import pytest

if TYPE_CHECKING:
    from .cloud import LocalCloud

# Its assertions then show what they compared, as those of a test file do.
pytest.register_assert_rewrite(__package__ + ".plugin_contract")


@pytest.fixture
def local_cloud() -> "Iterator[LocalCloud]":
    """A started ``LocalCloud``, which only this test uses.

    Example::

        def test_my_service(local_cloud, managed_credentials_config):
            local_cloud.create_secret("app/key")
            ...
            local_cloud.rotate("app/key")
    """
    # Imported here, since pytest imports this module at every start.
    from .cloud import LocalCloud
    try:
        cloud = LocalCloud()
    except ImportError as error:
        pytest.fail(str(error), pytrace=False)
    with cloud:
        yield cloud


@pytest.fixture
def managed_credentials_config(local_cloud: "LocalCloud", tmp_path: Any, monkeypatch: Any) -> str:
    """The path of a properties file for ``local_cloud``. Clients read it unless a call names another file.

    Other settings of the application have no effect, whether made before the test or in it: another file
    (``set_config_name``, ``MANAGED_CREDENTIALS_CONFIG``), keys of the file in the environment, and
    ``ManagedCredentials.set_default``. After the test all of these are as before, and so is the working directory.
    Clients that were made before the test keep their settings.

    For other settings write the file again::

        local_cloud.write_properties(os.path.dirname(managed_credentials_config), fetch_timeout_milliseconds=500)
    """
    from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader, ManagedCredentials
    from aliyun_sdk_secretsmanager_common_plugin.runtime import process
    from aliyun_sdk_secretsmanager_common_plugin.settings.properties_file import CONFIG_VARIABLE
    from aliyun_sdk_secretsmanager_common_plugin.settings.settings import CA_VARIABLE, KEYS

    path = local_cloud.write_properties(tmp_path)
    monkeypatch.setattr(ConfigLoader, "_config_name", path)
    monkeypatch.setattr(ConfigLoader, "_environment", {})
    monkeypatch.setattr(ConfigLoader, "set_config_name", staticmethod(_ignore))
    monkeypatch.setattr(process, "default", {})
    monkeypatch.setattr(process, "chosen", None)
    monkeypatch.setattr(ManagedCredentials, "set_default", staticmethod(_ignore))
    # For programs that the test starts. Setting a variable before its removal makes monkeypatch restore it afterwards
    # even if it was not set before.
    for name in KEYS + (CA_VARIABLE, CONFIG_VARIABLE):
        monkeypatch.setenv(name, path)
        if name != CONFIG_VARIABLE:
            monkeypatch.delenv(name)
    monkeypatch.chdir(os.getcwd())
    return path


def _ignore(*_: Any, **__: Any) -> None:
    """Take the place of a function by which an application would change the settings."""
