"""The immutable AccessKey, and which answers of GetSecretValue can be parsed into one."""

import copy
import json
import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, ManagedCredentialsError, SecretFormatError
from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.secret_info import SecretInfo

from .fakes import everything_in, quick

ID = "LTAI5tExample0123456789"
SECRET = "TheSecretThatNobodyMaySee42"
TOKEN = "CAISTheTokenThatNobodyMaySee42"


def answer(data=None, **fields):
    if data is None:
        data = {"AccessKeyId": ID, "AccessKeySecret": SECRET}
    return dict({"SecretName": "app/key", "SecretData": data if isinstance(data, str) else json.dumps(data),
                 "SecretType": "RAMCredentials", "VersionId": "v-1"}, **fields)


def refused(given_answer):
    with pytest.raises(SecretFormatError) as caught:
        parse_secret("app/key", given_answer)
    everything = everything_in(caught.value)
    assert SECRET not in everything
    assert TOKEN not in everything
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "'app/key'" in str(caught.value)
    return str(caught.value)


class TestParsing:
    def test_key_pair(self):
        key = parse_secret("app/key", answer())

        assert (key.access_key_id, key.access_key_secret, key.security_token) == (ID, SECRET, None)
        assert key.version_id == "v-1"
        assert (key.next_rotation, key.expires) == (None, None)

    def test_token(self):
        data = {"AccessKeyId": ID, "AccessKeySecret": SECRET, "SecurityToken": TOKEN}

        assert parse_secret("app/key", answer(data)).security_token == TOKEN

    @pytest.mark.parametrize("token", ["", " \n", None, 5, []])
    def test_token_that_is_none(self, token):
        data = {"AccessKeyId": ID, "AccessKeySecret": SECRET, "SecurityToken": token}

        assert parse_secret("app/key", answer(data)).security_token is None

    def test_blanks_around_id_secret_and_token_do_not_count(self):
        key = parse_secret("app/key", answer(
            {"AccessKeyId": " a\n", "AccessKeySecret": "\tb ", "SecurityToken": "\r\n c\r\n"}))

        assert (key.access_key_id, key.access_key_secret, key.security_token) == ("a", "b", "c")

    def test_answer_without_type_is_taken(self):
        fields = answer()
        del fields["SecretType"]

        assert parse_secret("app/key", fields).access_key_id == ID

    def test_number_of_thousands_of_digits_does_not_matter(self):
        text = '{{"AccessKeyId": "{}", "AccessKeySecret": "{}", "ExpireTimestamp": {}, "More": -{}}}'.format(
            ID, SECRET, "9" * 9000, "9" * 9000)

        assert parse_secret("app/key", answer(text)) == AccessKey(ID, SECRET)

    def test_other_fields_of_the_value_do_not_matter(self):
        data = {"AccessKeyId": ID, "AccessKeySecret": SECRET, "GenerateTimestamp": "x", "More": [1]}

        assert parse_secret("app/key", answer(data)) == AccessKey(ID, SECRET)

    def test_dates_are_utc_whatever_the_time_zone(self, monkeypatch):
        monkeypatch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        try:
            key = parse_secret("app/key", answer(
                {"AccessKeyId": ID, "AccessKeySecret": SECRET, "ExpireTimestamp": "2026-11-21T10:00:00Z"},
                NextRotationDate="2026-11-22T10:00:01Z"))
        finally:
            monkeypatch.delenv("TZ")
            time.tzset()

        assert key.expires == 1795255200.0
        assert key.next_rotation == 1795255200.0 + 86401

    def test_expiry_in_milliseconds(self):
        data = {"AccessKeyId": ID, "AccessKeySecret": SECRET, "ExpireTimestamp": 1795255200000}

        assert parse_secret("app/key", answer(data)).expires == 1795255200.0

    @pytest.mark.parametrize("date", [None, "", "soon", "2026-11-21", True, [], {}, "2026-13-41T10:00:00Z",
                                      pytest.param(10 ** 400, id="huge"), float("nan"), float("inf"), -float("inf"),
                                      1e308, -1, 0, 1795255200, "0000-00-00T00:00:00Z", "0001-01-01T00:00:00Z",
                                      "1970-01-01T00:00:00Z", "99999-01-01T00:00:00Z", 253402300800000, [[]] * 9])
    def test_date_that_is_none_is_no_error(self, date):
        data = {"AccessKeyId": ID, "AccessKeySecret": SECRET, "ExpireTimestamp": date}

        key = parse_secret("app/key", answer(data, NextRotationDate=date))

        assert (key.next_rotation, key.expires) == (None, None)


class TestFormatErrors:
    @pytest.mark.parametrize("secret_type", [5, [SECRET], SECRET, "Generic " + SECRET, "x" * 100])
    def test_what_is_no_type_is_not_shown(self, secret_type):
        message = refused(answer(SecretType=secret_type))

        assert "is of another type" in message
        assert str(secret_type) not in message

    @pytest.mark.parametrize("secret_type", ["Generic", "Rds", "ECS", ""])
    def test_other_type_is_named(self, secret_type):
        message = refused(answer(SecretType=secret_type))

        assert repr(secret_type) in message
        assert "RAMCredentials" in message

    @pytest.mark.parametrize("data", [SECRET, "{" + SECRET, "", '"%s"' % SECRET, '["%s"]' % SECRET, "null", "5"])
    def test_value_that_is_no_json_object(self, data):
        assert "no JSON object" in refused(answer(data))

    @pytest.mark.parametrize("data", [None, 5, ["a"], {"AccessKeyId": ID}])
    def test_value_that_is_no_text(self, data):
        assert "no JSON object" in refused(answer(SecretData=data))

    def test_answer_without_value(self):
        assert "no JSON object" in refused({"SecretType": "RAMCredentials"})

    @pytest.mark.parametrize(("data", "field"), [
        ({}, "AccessKeyId"),
        ({"AccessKeySecret": SECRET}, "AccessKeyId"),
        ({"AccessKeyId": "", "AccessKeySecret": SECRET}, "AccessKeyId"),
        ({"AccessKeyId": "  ", "AccessKeySecret": SECRET}, "AccessKeyId"),
        ({"AccessKeyId": 5, "AccessKeySecret": SECRET}, "AccessKeyId"),
        ({"accessKeyId": ID, "AccessKeySecret": SECRET}, "AccessKeyId"),
        ({"AccessKeyId": ID}, "AccessKeySecret"),
        ({"AccessKeyId": ID, "AccessKeySecret": None, "SecurityToken": TOKEN}, "AccessKeySecret"),
        ({"AccessKeyId": ID, "AccessKeySecret": [SECRET]}, "AccessKeySecret"),
    ])
    def test_value_that_lacks_a_key_names_it(self, data, field):
        assert "has no {};".format(field) in refused(answer(data))

    @pytest.mark.parametrize("field", ["AccessKeyId", "AccessKeySecret", "SecurityToken"])
    @pytest.mark.parametrize("character", [
        "\n", "\r", "\r\nX-Evil: 1", "\x00", "\t", "\x0b", "\x1b", "\x7f", "\x85", "\xa0", "\xe9", "\u2028", "\u5bc6",
        "\U0001f511", "\ud800"], ids=ascii)
    def test_character_that_no_header_holds_is_refused(self, field, character):
        data = {"AccessKeyId": ID, "AccessKeySecret": SECRET, "SecurityToken": TOKEN}
        data[field] = data[field][:-3] + character + data[field][-3:]

        message = refused(answer(data))

        assert "the {} in the value of secret".format(field) in message
        assert data[field][:-6] not in message

    @pytest.mark.parametrize("character", ["\x00", "\x1f", "\x7f", "\xa0", "\u3000", "\ufeff"], ids=ascii)
    @pytest.mark.parametrize("place", ["{1}{0}", "{0}{1}"])
    def test_at_its_ends_too(self, place, character):
        refused(answer({"AccessKeyId": place.format(ID, character), "AccessKeySecret": SECRET}))

    def test_errors_are_of_the_suite_and_value_errors(self):
        with pytest.raises(ManagedCredentialsError) as caught:
            parse_secret("app/key", {})

        assert isinstance(caught.value, ValueError)

    @quick
    @given(st.dictionaries(
        st.sampled_from(["AccessKeyId", "AccessKeySecret", "SecurityToken", "ExpireTimestamp"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))))
    def test_any_json_makes_a_key_or_a_format_error(self, data):
        try:
            key = parse_secret("app/key", answer(data))
        except SecretFormatError:
            parts = [data.get(name) for name in ("AccessKeyId", "AccessKeySecret", "SecurityToken")]
            texts = [part.strip(" \t\r\n") for part in parts if isinstance(part, str)]
            assert not all(isinstance(part, str) and part.strip(" \t\r\n") for part in parts[:2]) or not all(
                " " <= character <= "~" for character in "".join(texts))
        else:
            assert key.access_key_id == data["AccessKeyId"].strip()
            assert key.access_key_secret == data["AccessKeySecret"].strip()


class TestAccessKey:
    @pytest.mark.parametrize("name", AccessKey.__slots__ + ("another",))
    def test_is_immutable(self, name):
        key = AccessKey(ID, SECRET, TOKEN)

        with pytest.raises(AttributeError, match="immutable"):
            setattr(key, name, "x")
        with pytest.raises(AttributeError, match="immutable"):
            delattr(key, name)

        assert (key.access_key_id, key.access_key_secret, key.security_token) == (ID, SECRET, TOKEN)

    def test_has_no_dictionary_to_write_to(self):
        assert not hasattr(AccessKey(ID, SECRET), "__dict__")

    @pytest.mark.parametrize("duplicate", [
        lambda key: pickle.loads(pickle.dumps(key)),
        lambda key: pickle.loads(pickle.dumps(key, protocol=0)),
        copy.copy,
        copy.deepcopy,
    ])
    def test_pickling_and_copying_keep_every_attribute(self, duplicate):
        secret_info = SecretInfo("name", "v", SECRET)
        key = AccessKey(ID, SECRET, TOKEN, "v", 1.0, 2.0, secret_info)

        twin = duplicate(key)

        assert twin == key
        assert [getattr(twin, name) for name in AccessKey.__slots__] == [
            ID, SECRET, TOKEN, "v", 1.0, 2.0, secret_info]

    def test_keys_that_sign_alike_are_equal(self):
        assert AccessKey(ID, SECRET, TOKEN, "v", 1.0) == AccessKey(ID, SECRET, TOKEN, "w", 2.0)
        assert hash(AccessKey(ID, SECRET, TOKEN, "v")) == hash(AccessKey(ID, SECRET, TOKEN, "w"))

    @pytest.mark.parametrize("other", [
        AccessKey(ID, SECRET), AccessKey(ID, "x", TOKEN), AccessKey("x", SECRET, TOKEN), AccessKey(ID, SECRET, "x"),
        (ID, SECRET, TOKEN), None])
    def test_keys_that_sign_otherwise_are_not(self, other):
        assert AccessKey(ID, SECRET, TOKEN) != other

    def test_shows_the_masked_id_and_the_version(self):
        assert repr(AccessKey(ID, SECRET, TOKEN, "v-1")) == "AccessKey(LTAI********6789, version_id='v-1')"

    @pytest.mark.parametrize("show", [repr, str, "{}".format, lambda key: "%s %r" % (key, [key])])
    def test_shows_no_secret(self, show):
        text = show(AccessKey(ID, SECRET, TOKEN))

        assert SECRET not in text
        assert TOKEN not in text
        assert ID not in text
