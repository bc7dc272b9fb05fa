"""The keys of the properties file that configure a cache file."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.settings import CacheFileSettings, load_settings

from .files import PASSWORD


class TestSettings:
    """The keys of the properties file."""

    @pytest.fixture
    def load(self, tmp_path):
        def load_file(**values):
            values = dict({"credentials_type": "default", "cache_client_region_id": '[{"regionId": "cn-a"}]'}, **values)
            path = tmp_path / "app.properties"
            path.write_text("".join("{}={}\n".format(*item) for item in values.items()))
            return load_settings(str(path)).cache_file

        return load_file

    def test_there_is_none_by_default(self, load):
        assert load() is None

    def test_paths_are_relative_to_the_properties_file(self, load, tmp_path):
        (tmp_path / "password.txt").write_text(PASSWORD + "\n")

        assert load(cache_file_path="keys.cache", cache_file_password_from_file_path="password.txt") == \
            CacheFileSettings(str(tmp_path / "keys.cache"), PASSWORD)

    def test_password_in_a_variable(self, load, tmp_path, monkeypatch):
        monkeypatch.setenv("CACHE_PASSWORD", PASSWORD)

        assert load(cache_file_path="/keys.cache", cache_file_password_from_env_variable="CACHE_PASSWORD") == \
            CacheFileSettings("/keys.cache", PASSWORD)

    @pytest.mark.parametrize("values, words", [
        ({"cache_file_path": "a"},
         ["cache_file_password_from_file_path is missing or empty", "cache_file_path needs it",
          "or cache_file_password_from_env_variable"]),
        ({"cache_file_password_from_env_variable": "A"},
         ["cache_file_path is missing or empty", "cache_file_password_from_env_variable"]),
        ({"cache_file_password_from_file_path": "a"},
         ["cache_file_path is missing or empty", "cache_file_password_from_file_path"]),
        ({"cache_file_path": "a", "cache_file_password_from_env_variable": "A",
          "cache_file_password_from_file_path": "a"},
         ["cache_file_password_from_env_variable is there, and cache_file_password_from_file_path as well"]),
        ({"cache_file_path": "a", "cache_file_password_from_env_variable": "NOT_SET"},
         ["cache_file_password_from_env_variable names the environment variable 'NOT_SET', which is not set"]),
        ({"cache_file_path": "a", "cache_file_password_from_file_path": "missing.txt"},
         ["line 4: cache_file_password_from_file_path names a file of 11 characters in", "No such file"]),
    ], ids=["no password", "variable alone", "file alone", "both", "variable not set", "file missing"])
    def test_one_without_the_other_is_an_error_that_says_so(self, load, values, words):
        with pytest.raises(ConfigurationError) as caught:
            load(**values)
        for word in words:
            assert word in str(caught.value)
