"""What the plugins share, and what they refuse, without an SDK."""

import copy

import pytest

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.ak_expire_handler import require_handler
from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import SecretHolder, answered, managed_class, replay_bytes
from tests.conftest import SECRET


class Judge(AKExpireHandler):
    def judge_ak_expire(self, exception):
        return False


class Client:
    """As an SDK has it."""

    def __init__(self, endpoint):
        self.endpoint = endpoint


class Managed(SecretHolder):
    """A client that holds a secret."""

    _HANDLER = Judge

    def __init__(self, endpoint, secret_name, ak_expire_handler=None, managed_credentials=None):
        super().__init__(endpoint)
        self._take_secret(secret_name, ak_expire_handler, managed_credentials)


def managed(client_class):
    return managed_class(managed, Managed, client_class)


class TestManagedClass:
    def test_is_the_same_each_time_and_takes_name_module_and_help_of_both(self):
        made = managed(Client)

        assert managed(Client) is made
        assert issubclass(made, Client)
        assert (made.__name__, made.__module__, made.__doc__) == ("ManagedClient", __name__, Managed.__doc__)

    def test_of_two_plugins_are_two(self):
        def others(client_class):
            return managed_class(others, Managed, client_class)

        assert others(Client) is not managed(Client)


class TestSecretHolder:
    def test_names_its_secret_and_its_handler(self, credentials, closing):
        judge = Judge()
        client = closing(managed(Client)("here", SECRET, judge, credentials))

        assert (client.endpoint, client.secret_name, client.ak_expire_handler) == ("here", SECRET, judge)
        assert type(closing(copy.copy(client)).ak_expire_handler) is Judge

    def test_repr_names_class_and_secret(self, credentials, closing):
        client = closing(managed(Client)("here", SECRET, managed_credentials=credentials))

        assert repr(client) == "<ManagedClient of secret 'app/key'>"

    def test_repr_of_one_that_is_not_yet_made_is_no_error(self):
        made = managed(Client)

        assert repr(made.__new__(made)) == "<ManagedClient of secret None>"

    def test_error_inside_a_with_block_passes(self, credentials):
        with pytest.raises(ZeroDivisionError), managed(Client)("here", SECRET, managed_credentials=credentials):
            1 / 0


class TestAnswered:
    def test_result_comes_without_an_error(self):
        assert answered(ValueError, int, "7") == (7, None)

    def test_error_of_the_service_comes_without_the_frames_of_the_sdk(self):
        result, error = answered(ValueError, int, "seven")

        assert result is None
        assert isinstance(error, ValueError) and error.__traceback__ is None

    def test_other_errors_pass(self):
        with pytest.raises(TypeError):
            answered(ValueError, int, None)


def test_how_much_of_a_body_is_kept_is_as_given_or_as_configured(credentials):
    settings = credentials.settings

    assert replay_bytes(settings) == (settings.replay_buffer_bytes, settings.replay_spool_bytes)
    assert replay_bytes(settings, 7, 0) == (7, 0)


class Method:
    judge_ak_expire = "no method"


class DuckTyped:
    def judge_ak_expire(self, exception):
        return False


class WithoutArgument(AKExpireHandler):
    def judge_ak_expire(self):
        return True


class Awaited(AKExpireHandler):
    async def judge_ak_expire(self, exception):
        return False


NO_HANDLERS = {
    "a region": ("ap-southeast-1", "did you mean region_id=?"),
    "another region": ("cn-hangzhou-finance", "did you mean region_id=?"),
    "an error code": ("InvalidAccessKeyId.NotFound", "did you mean error codes"),
    "error codes": (["InvalidAccessKeyId"], "did you mean error codes"),
    "an empty text": ("", "ak_expire_handler is an object of the class str"),
    "none": (None, "ak_expire_handler is an object of the class NoneType"),
    "no": (False, "ak_expire_handler is an object of the class bool"),
    "a number": (30, "ak_expire_handler is an object of the class int"),
    "a handler's class": (DuckTyped, r"the class DuckTyped, .*did you mean DuckTyped\(\)\?"),
    "the base class": (AKExpireHandler, "the class AKExpireHandler, .*give an object .* of a subclass"),
    "an object of the base class": (AKExpireHandler(), "AKExpireHandler, whose judge_ak_expire judges nothing"),
    "another class": (dict, "ak_expire_handler is the class dict"),
    "a function": (lambda exception: True, "a function, .*make it the method judge_ak_expire"),
    "a method": (DuckTyped().judge_ak_expire, "a function, .*make it the method judge_ak_expire"),
    "an object": (object(), "an object of the class object"),
    "an attribute that is no method": (Method(), "an object of the class Method"),
    "a judge of nothing": (WithoutArgument(), r"WithoutArgument, whose judge_ak_expire does not take one argument"),
    "a judge that is awaited": (Awaited(), r"Awaited, whose judge_ak_expire is asynchronous"),
}


class TestWhatIsNoHandler:
    @pytest.mark.parametrize("what", sorted(NO_HANDLERS))
    def test_is_told_by_its_kind(self, what):
        handler, words = NO_HANDLERS[what]

        with pytest.raises(ConfigurationError, match=words) as caught:
            require_handler(handler)

        assert str(caught.value).startswith("ak_expire_handler is ")

    def test_is_refused_by_a_lease_too(self, credentials):
        with pytest.raises(ConfigurationError, match="ak_expire_handler is an object of the class NoneType"):
            credentials.lease(self, SECRET, None, lambda client: None)

    def test_may_be_a_misplaced_argument_whose_value_is_not_shown(self, cloud, properties):
        from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

        with pytest.raises(ConfigurationError, match="did you mean region_id=?"):
            ProxyAcsClient(SECRET, "cn-shanghai")
        with pytest.raises(ConfigurationError) as caught:
            ProxyAcsClient("LTAIgiven00000000000", "TheSecretOfTheAccessKey1234567", "cn-shanghai")
        assert "TheSecretOfTheAccessKey1234567" not in str(caught.value)

    def test_that_was_set_for_clients_to_come_is_refused_when_one_is_made(self, properties):
        from aliyun_sdk_secretsmanager_sdk_core_plugin.secretsmanager_sdk_core_plugin_manager import (
            SecretsManagerSdkCorePluginManager,
        )

        SecretsManagerSdkCorePluginManager.set_ak_expire_handler("")
        try:
            with pytest.warns(DeprecationWarning), pytest.raises(ConfigurationError, match="ak_expire_handler"):
                SecretsManagerSdkCorePluginManager.get_acs_client(SECRET)
        finally:
            SecretsManagerSdkCorePluginManager.set_ak_expire_handler(None)
