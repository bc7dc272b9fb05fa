"""The properties file: its syntax, which file is read, and files that cannot be read."""

import os
import pathlib
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aliyun_sdk_secretsmanager_common_plugin import (
    ConfigLoader,
    ConfigurationError,
    ManagedCredentials,
    ManagedCredentialsError,
)
from aliyun_sdk_secretsmanager_common_plugin.settings import CacheFileSettings, files, load_settings
from aliyun_sdk_secretsmanager_common_plugin.settings.properties_file import read_properties
from aliyun_sdk_secretsmanager_common_plugin.settings.settings import DEFAULT_CONFIG_NAME
from aliyun_sdk_secretsmanager_common_plugin.utils import config_loader
from tests.common.fakes import quick

from .conftest import GOOD, SECRET


class TestSyntax:
    def read(self, write, content):
        return {key: entry.value for key, entry in read_properties(write(content)).items()}

    def test_comments_and_blank_lines_are_skipped(self, write):
        assert self.read(write, "# a=1\n! b=2\n\n   \n   # c=3\nd=4\n") == {"d": "4"}

    def test_number_sign_within_a_value_belongs_to_it(self, write):
        assert self.read(write, "a=b#c # d\n") == {"a": "b#c # d"}

    def test_first_equals_sign_separates(self, write):
        assert self.read(write, "a=b=c==\n") == {"a": "b=c=="}

    def test_spaces_around_key_and_value_do_not_count(self, write):
        assert self.read(write, "  a  =  b c  \n") == {"a": "b c"}

    def test_backslash_at_the_end_continues_the_line(self, write):
        assert self.read(write, "a=[1,\\\n    2,\\\n    3]\nb=4\n") == {"a": "[1,2,3]", "b": "4"}

    def test_backslash_at_the_end_of_the_file_is_no_error(self, write):
        assert self.read(write, "a=b\\") == {"a": "b"}

    def test_comment_is_not_continued(self, write):
        assert self.read(write, "# a comment\\\na=1\n") == {"a": "1"}

    def test_backslashes_within_a_value_are_raw(self, write):
        assert self.read(write, "a=C:\\new\\table\\u0041.pem\n") == {"a": "C:\\new\\table\\u0041.pem"}

    def test_byte_order_mark_is_skipped(self, write):
        assert self.read(write, b"\xef\xbb\xbfa=1\n") == {"a": "1"}

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    def test_line_ends_of_every_system(self, write, newline):
        assert self.read(write, "a=1{0}b=2{0}".format(newline)) == {"a": "1", "b": "2"}

    def test_no_line_end_at_the_end(self, write):
        assert self.read(write, "a=1") == {"a": "1"}

    def test_last_of_two_equal_keys_counts_and_a_warning_names_it(self, write, caplog):
        assert self.read(write, "a={0}1\nb=2\na={0}2\n".format(SECRET)) == {"a": SECRET + "2", "b": "2"}
        assert re.search(r"line 3: the key is that of .*some\.properties, line 1, too", caplog.text)
        assert SECRET not in caplog.text

    def test_empty_file_has_no_keys(self, write):
        assert self.read(write, "") == {}

    @pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0c", "\x1c"])
    def test_only_line_ends_end_a_line(self, write, separator):
        assert self.read(write, "a=b{}c\nd=1\n".format(separator)) == {"a": "b{}c".format(separator), "d": "1"}

    @quick
    @given(
        values=st.dictionaries(
            st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
            st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n\0"), max_size=30)
            .map(lambda text: text.strip().rstrip("\\").strip())
            .filter(lambda text: not text.endswith("\\")),
            max_size=5,
        ),
        noise=st.sampled_from(["", "\n", "# x=y\\\n", "  ! x\n"]),
        newline=st.sampled_from(["\n", "\r\n"]),
        bom=st.booleans(),
    )
    def test_what_was_written_is_read(self, values, noise, newline, bom, tmp_path_factory):
        path = tmp_path_factory.getbasetemp() / "round-trip.properties"
        text = "".join("{}{} = {}\n".format(noise, *item) for item in values.items())
        path.write_bytes(text.replace("\n", newline).encode("utf-8-sig" if bom else "utf-8"))

        assert {key: entry.value for key, entry in read_properties(str(path)).items()} == values


class TestWhichFile:
    def test_the_one_in_the_working_directory(self, write, tmp_path):
        write(name=DEFAULT_CONFIG_NAME, credentials_access_key_id="LTAIdefault")

        assert DEFAULT_CONFIG_NAME == "managed_credentials_providers.properties"
        assert load_settings().identity.access_key_id == "LTAIdefault"

    def test_the_one_that_the_environment_names(self, write, monkeypatch):
        write(name=DEFAULT_CONFIG_NAME)
        monkeypatch.setenv("MANAGED_CREDENTIALS_CONFIG", write(credentials_access_key_id="LTAIenvironment"))

        assert load_settings().identity.access_key_id == "LTAIenvironment"

    def test_the_one_that_set_config_name_says_before_that_of_the_environment(self, write, monkeypatch):
        monkeypatch.setenv("MANAGED_CREDENTIALS_CONFIG", write(name="a", credentials_access_key_id="LTAIenvironment"))
        ConfigLoader.set_config_name(write(name="b", credentials_access_key_id="LTAIset"))

        assert load_settings().identity.access_key_id == "LTAIset"

    def test_set_config_name_of_none_goes_back(self, write):
        write(name=DEFAULT_CONFIG_NAME, credentials_access_key_id="LTAIdefault")
        ConfigLoader.set_config_name(write())
        ConfigLoader.set_config_name(None)

        assert load_settings().identity.access_key_id == "LTAIdefault"
        assert ConfigLoader.get_config_name() == DEFAULT_CONFIG_NAME

    def test_set_config_name_takes_a_path_relative_to_the_working_directory(self, write):
        write(credentials_access_key_id="LTAIset")
        ConfigLoader.set_config_name("some.properties")

        assert load_settings().identity.access_key_id == "LTAIset"

    def test_an_argument_before_all(self, write):
        ConfigLoader.set_config_name(write(name="b"))

        assert load_settings(write(credentials_access_key_id="LTAIargument")).identity.access_key_id == "LTAIargument"

    def test_argument_may_be_a_path_object(self, write):
        assert load_settings(pathlib.Path(write())).identity.access_key_id

    @pytest.mark.parametrize("name", ["", " "])
    def test_empty_argument_is_refused_whatever_the_default_file_has(self, write, name):
        """It may be a variable of a script that was not set."""
        write(name=DEFAULT_CONFIG_NAME)

        with pytest.raises(ConfigurationError, match="the name of the properties file is empty; give the path of one"):
            load_settings(name)

    def test_documented_path_of_the_loader_is_the_same_loader(self):
        assert config_loader.ConfigLoader is ConfigLoader


class TestBadFile:
    def test_missing(self, refused, tmp_path):
        message = refused(str(tmp_path / "missing.properties"))

        assert str(tmp_path / "missing.properties") in message
        assert "No such file" in message
        assert "set_config_name" in message
        assert "MANAGED_CREDENTIALS_CONFIG" in message

    def test_missing_default_names_its_full_path(self, refused, tmp_path):
        assert str(tmp_path / DEFAULT_CONFIG_NAME) in refused()

    def test_unreadable(self, refused, write, monkeypatch):
        def may_not(path, *args, **kwargs):
            raise PermissionError(13, "Permission denied", path)

        path = write()
        monkeypatch.setattr(files, "open", may_not, raising=False)

        message = refused(path)

        assert "{}: Permission denied; let the user of this process read it".format(path) in message
        assert "create it" not in message

    def test_directory(self, refused, tmp_path):
        message = refused(str(tmp_path))

        assert "{}: Is a directory; name the file in it".format(tmp_path) in message
        assert "create it" not in message

    @pytest.mark.parametrize("path", ["a\0b", "\ud800"], ids=["NUL", "half a character"])
    def test_path_that_is_none(self, refused, path):
        assert "that is no path" in refused(path)

    @pytest.mark.parametrize("path", ["/dev/null", "/dev/zero"])
    def test_device(self, refused, path):
        assert "neither a file nor a pipe" in refused(path)

    def test_relative_where_the_working_directory_is_gone(self, refused, tmp_path, monkeypatch):
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()

        assert "No such file" in refused("some.properties")
        assert "No such file" in refused()

    def test_larger_than_any_properties_file(self, refused, write):
        assert "larger than 1048576 bytes" in refused(write(b"a=" + b"x" * (1 << 20)))

    def test_no_text(self, refused, write):
        assert "line 1: a NUL character; save the file as UTF-8" in refused(write("a=b\n".encode("utf-16-le")))

    def test_each_error_names_the_ways_to_name_another_file(self, refused, tmp_path):
        for path in (tmp_path, tmp_path / "missing", "/dev/null"):
            message = refused(str(path))
            assert "set_config_name" in message and "MANAGED_CREDENTIALS_CONFIG" in message and "--config" in message

    @pytest.mark.parametrize("encoded", [
        "credentials_access_secret={}\nname=\u4f60\n".format(SECRET).encode("gbk"),
        "credentials_access_secret={}\n".format(SECRET).encode("utf-16"),
    ])
    def test_no_utf8(self, refused, write, encoded):
        message = refused(write(encoded))

        assert "UTF-8" in message
        assert "some.properties" in message

    def test_line_without_equals_sign_is_named_by_number_and_not_shown(self, refused, write):
        message = refused(write("a=1\n\n# c\n{}\nb=2\n".format(SECRET)))

        assert "line 4" in message
        assert "some.properties" in message

    def test_line_without_key(self, refused, write):
        assert "line 2" in refused(write("a=1\n={}\n".format(SECRET)))

    def test_errors_are_of_the_suite_and_value_errors(self, refused, write):
        with pytest.raises(ManagedCredentialsError) as caught:
            load_settings(write(""))

        assert isinstance(caught.value, ValueError)


class TestPipes:
    @pytest.fixture
    def pipe(self, tmp_path):
        """Make a pipe that holds a content, and return its path."""
        readers = []

        def make(content, named=False):
            if named:
                path = str(tmp_path / "fifo")
                os.mkfifo(path)
                threading.Thread(target=lambda: open(path, "w").write(content), daemon=True).start()
                return path
            reader, writer = os.pipe()
            readers.append(reader)
            os.write(writer, content.encode("utf-8"))
            os.close(writer)
            return "/dev/fd/{}".format(reader)

        yield make
        for reader in readers:
            os.close(reader)

    CONTENT = "".join("{}={}\n".format(*item) for item in GOOD.items())

    @pytest.mark.parametrize("named", [False, True])
    def test_gives_the_properties_again_and_again(self, pipe, named):
        path = pipe(self.CONTENT, named)

        assert [load_settings(path).identity.access_key_secret for _ in range(3)] == [SECRET] * 3

    def test_gives_the_properties_to_threads_at_once(self, pipe, in_threads):
        path = pipe(self.CONTENT)

        assert len({load.identity for load in in_threads([lambda: load_settings(path)] * 8)}) == 1

    def test_serves_all_clients_that_share_the_default(self, pipe):
        ConfigLoader.set_config_name(pipe(self.CONTENT))

        assert ManagedCredentials.default() is ManagedCredentials.default()

    def test_that_is_made_anew_is_read_anew(self, pipe):
        path = pipe(self.CONTENT, named=True)
        load_settings(path)
        os.unlink(path)
        pipe(self.CONTENT.replace("LTAI5t", "LTAI9t"), named=True)

        assert load_settings(path).identity.access_key_id.startswith("LTAI9t")

    def test_has_its_paths_relative_to_the_working_directory(self, pipe, tmp_path):
        (tmp_path / "password").write_text(SECRET)

        settings = load_settings(pipe(
            self.CONTENT + "cache_file_path=keys\ncache_file_password_from_file_path=password\n"))

        assert settings.cache_file == CacheFileSettings(str(tmp_path / "keys"), SECRET)

    def test_may_hold_a_password(self, pipe, write):
        path = write(cache_file_path="keys", cache_file_password_from_file_path=pipe(SECRET + "\n"))

        assert [load_settings(path).cache_file.password for _ in range(2)] == [SECRET] * 2

    def test_that_is_empty_says_so(self, pipe, refused):
        assert "it is a pipe with nothing in it" in refused(pipe(""))

    def test_into_which_nobody_writes_is_given_up(self, refused, tmp_path, monkeypatch):
        monkeypatch.setattr(files, "PIPE_PATIENCE", 0.05)
        os.mkfifo(str(tmp_path / "fifo"))

        assert "it is a pipe whose writers did not close it within 0.05 s" in refused(str(tmp_path / "fifo"))

    def test_of_ca_certificates_is_no_file(self, pipe, refused, write):
        path = pipe("")

        assert "no regular file" in refused(write(
            cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "%s"}]' % path))
