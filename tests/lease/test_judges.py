"""Contract 5: which errors mean a rejected key."""

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import (
    AKExpireHandler,
    DefaultAKExpireHandler,
    ak_expire_handler,
    default_ak_expire_handler,
)
from tests.common.fakes import key

from .world import A, B, Codes, Judge, ServiceError


class TestJudge:
    def test_is_given_the_services_error_and_decides_alone(self, world):
        judge = Judge(lambda error: error.code == "Custom")
        world.rotate(B)
        world.accepts = {B}
        world.code = "Custom"

        assert world.call(world.lease(judge)) == ("answer", None)
        assert judge.judged == [world.errors[0]]

    def test_no_is_no_though_the_code_is_a_usual_one(self, world):
        world.rotate(B)
        world.accepts = {B}

        assert world.call(world.lease(Judge(lambda error: False))) == ("refusal", world.errors[0])
        assert world.sent() == [A]

    def test_one_that_raises_is_logged_and_counts_as_no(self, world, caplog):
        def fail(error):
            raise RuntimeError("a mistake of the user's")

        world.rotate(B)
        world.accepts = {B}

        assert world.call(world.lease(Judge(fail))) == ("refusal", world.errors[0])
        assert "a mistake of the user's" in caplog.text
        assert "Judge" in caplog.text
        assert "secret-of" not in caplog.text

    def test_one_that_is_not_finished_counts_as_no(self, world, caplog):
        world.accepts = set()

        assert world.call(world.lease(AKExpireHandler())) == ("refusal", world.errors[0])
        assert "judge_ak_expire" in caplog.text

    def test_errors_of_reading_the_secret_are_not_judged(self, world):
        judge = Judge()
        world.source.answer = ServerException("InvalidAccessKeyId.NotFound", "our own identity", 404, "1")

        with pytest.raises(ServerException):
            world.call(world.lease(judge))
        assert judge.judged == []
        assert len(world.source.asked) == 1

    def test_errors_of_renewing_the_secret_are_not_judged(self, world):
        judge = Judge()
        world.rotate(ServerException("InvalidAccessKeyId.NotFound", "our own identity", 404, "1"))
        world.accepts = set()

        _, error = world.call(world.lease(judge))

        assert judge.judged == [error]
        assert error is world.errors[0]


class TestDefaultHandler:
    @pytest.mark.parametrize(("codes", "expected"), [
        ("InvalidAccessKeyId", True),
        ("InvalidAccessKeyId.NotFound", False),
        ("xInvalidAccessKeyIdx", False),
        (("Other", "InvalidAccessKeyId"), True),
        (["InvalidAccessKeyId"], True),
        ({"InvalidAccessKeyId"}, True),
        ((), False),
    ])
    def test_takes_one_code_or_several(self, codes, expected):
        assert Codes(codes).judge_ak_expire(ServiceError("InvalidAccessKeyId")) is expected

    def test_error_without_a_code_is_none_of_the_keys(self):
        assert not Codes().judge_ak_expire(ValueError("InvalidAccessKeyId"))
        assert not Codes().judge_token_expire(ValueError("InvalidSecurityToken.Expired"))

    def test_documented_paths(self):
        assert ak_expire_handler.AKExpireHandler is AKExpireHandler
        assert default_ak_expire_handler.DefaultAKExpireHandler is DefaultAKExpireHandler

    def test_unfinished_subclass_is_told_what_to_define(self):
        with pytest.raises(NotImplementedError, match="get_error_code"):
            DefaultAKExpireHandler().get_error_code(ValueError())


class TestTokenCodes:
    WITH_TOKEN = key("T", token="the-token")

    @pytest.mark.parametrize("code", [
        "InvalidSecurityToken.Expired", "InvalidSecurityToken.Malformed", "InvalidSecurityToken"])
    def test_mean_a_rejected_key_where_the_secret_has_a_token(self, world, code):
        world.source.answer = self.WITH_TOKEN
        world.rotate(B)
        world.accepts = {B}
        world.code = code

        assert world.call() == ("answer", None)
        assert world.sent() == [self.WITH_TOKEN, B]

    def test_count_too_in_an_error_of_a_class_without_weak_references(self, world):
        class Slotted(Exception):
            __slots__ = ()

        class Handler(Codes):
            def get_error_code(self, exception):
                return "InvalidSecurityToken.Expired"

        world.source.answer = self.WITH_TOKEN

        assert world.lease(Handler()).is_rejection(self.WITH_TOKEN, Slotted())

    def test_mean_nothing_where_it_has_none(self, world):
        world.rotate(B)
        world.accepts = {B}
        world.code = "InvalidSecurityToken.Expired"

        assert world.call() == ("refusal", world.errors[0])

    @pytest.mark.parametrize("code", ["InvalidSecurityTokens", "NotInvalidSecurityToken.Expired", "SecurityToken"])
    def test_others_that_look_alike_do_not(self, world, code):
        world.source.answer = self.WITH_TOKEN
        world.rotate(B)
        world.accepts = {B}
        world.code = code

        assert world.call() == ("refusal", world.errors[0])

    def test_are_no_matter_of_a_users_own_judge(self, world):
        world.source.answer = self.WITH_TOKEN
        world.rotate(B)
        world.accepts = {B}
        world.code = "InvalidSecurityToken.Expired"

        assert world.call(world.lease(Judge(lambda error: False))) == ("refusal", world.errors[0])

    def test_are_no_matter_of_a_default_handler_whose_judgement_a_user_replaced(self, world):
        """Contract 5: judge_ak_expire alone decides."""
        class Never(Codes):
            def judge_ak_expire(self, exception):
                return False

        world.source.answer = self.WITH_TOKEN
        world.rotate(B)
        world.accepts = {B}
        world.code = "InvalidSecurityToken.Expired"

        assert world.call(world.lease(Never())) == ("refusal", world.errors[0])
