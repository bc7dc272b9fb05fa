"""Errors of Simple Log Service, whose code alone does not say whether they mean a rejected key."""

import json

import pytest
from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.models import Params
from Tea.exceptions import TeaException, UnretryableException

from aliyun_sdk_secretsmanager_openapi_plugin import OpenApiAkExpireHandler
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET

from .calls import BODIES, request_of, runtime

REJECTED = (
    "AccessKeyId not found: LTAI5tAnyAccessKeyId",
    "AccessKeyId is disabled: LTAI5tAnyAccessKeyId",
    "code: 401, AccessKeyId not found: LTAI5tAnyAccessKeyId request id: 65F0",
    "The access key id is not found.",
)
GOOD = (
    "denied by sts or ram, action: log:GetLogStoreLogs, resource: acs:log:*:1:project/p/logstore/l",
    "denied by sts or ram, action: log:PostLogStoreLogs, resource: acs:log:*:1:project/AccessKeyId not found",
    "Access denied: the policy of this AccessKeyId is disabled.",
    "The project does not belong to you.",
    "Your SLS service has been forbidden.",
    "The security token you provided has expired.",
    "",
    None,
)


def error(message, code="Unauthorized"):
    return TeaException({"code": code, "message": message, "data": {"statusCode": 401}})


def params(style="ROA"):
    return Params(action="ListProject", version="2020-12-30", protocol="HTTP", pathname="/", method="POST",
                  auth_type="AK", style=style, req_body_type="json", body_type="json")


def call(client):
    return client.call_api(params(), request_of(BODIES["json"]), runtime())["statusCode"]


async def call_async(client):
    return (await client.call_api_async(params(), request_of(BODIES["json"]), runtime()))["statusCode"]


class TestMessage:
    @pytest.mark.parametrize("message", REJECTED)
    def test_that_names_the_key_means_a_rejected_one(self, message):
        judge = OpenApiAkExpireHandler().judge_ak_expire

        assert judge(error(message))
        assert judge(UnretryableException(None, error(message)))
        assert not judge(error(message, "Forbidden"))
        assert not judge(error(message, None))

    @pytest.mark.parametrize("message", GOOD)
    def test_that_says_anything_else_does_not(self, message):
        assert not OpenApiAkExpireHandler().judge_ak_expire(error(message))

    def test_counts_for_nothing_where_other_codes_were_given(self):
        assert not OpenApiAkExpireHandler("Mine").judge_ak_expire(error(REJECTED[0]))
        assert OpenApiAkExpireHandler(["Mine", "Unauthorized"]).judge_ak_expire(error(GOOD[0]))

    def test_of_a_token_that_has_expired_means_a_rejected_token(self):
        judge = OpenApiAkExpireHandler().judge_token_expire

        assert judge(error("The security token you provided has expired."))
        assert judge(error(None, "SecurityTokenExpired"))
        assert not judge(error("The security token you provided has expired.", "Forbidden"))
        assert not judge(error("denied by sts or ram: the security token is of another role, which expired"))


def answer(message):
    return Fault.body(json.dumps({"Code": "Unauthorized", "Message": message}).encode("ascii"), status=401)


class TestCalls:
    def test_cost_nothing_at_a_rotation(self, cloud, make_client, run):
        client = make_client()
        cloud.rotate(SECRET)
        assert call(client) == 200
        old = cloud.secret(SECRET).current.access_key_id
        cloud.rotate(SECRET)
        cloud.disable_key(old)
        assert run(call_async(client)) == 200

        assert [(each.status, each.code) for each in cloud.calls("api")] == [(401, "Unauthorized"), (200, "")] * 2

    def test_cost_nothing_where_a_token_expires(self, cloud, make_client):
        cloud.create_secret("sts", token=True)
        client = make_client("sts")
        cloud.rotate("sts", grace=60)
        cloud.inject("api", answer("The security token you provided has expired."), times=1)

        assert call(client) == 200
        assert [each.status for each in cloud.calls("api")] == [401, 200]

    def test_that_lack_a_permission_surface_at_once_and_read_no_secret(self, cloud, fetches, make_client):
        client = make_client()
        cloud.inject("api", answer(GOOD[0]))

        with pytest.raises(TeaException, match="denied by sts or ram") as caught:
            call(client)

        assert caught.value.code == "Unauthorized"
        assert len(cloud.calls("api")) == fetches() == 1


class TestLocalCloud:
    """What Simple Log Service answers to a plain client."""

    def refusal(self, config, key):
        client = Client(config(access_key_id=key.access_key_id, access_key_secret=key.access_key_secret,
                               security_token=key.security_token))
        with pytest.raises(TeaException) as caught:
            call(client)
        assert (caught.value.code, caught.value.statusCode) == ("Unauthorized", 401)
        return caught.value.message

    def test_says_that_a_key_is_dead_as_the_service_does(self, cloud, config):
        key = cloud.secret(SECRET).current
        cloud.disable_key(key.access_key_id)
        assert "AccessKeyId is disabled: " + key.access_key_id in self.refusal(config, key)
        never = key._replace(access_key_id="LTAInever0000000000")
        assert "AccessKeyId not found: LTAInever0000000000" in self.refusal(config, never)

    def test_says_that_a_token_has_expired_as_the_service_does(self, cloud, config):
        key = cloud.create_secret("sts", token=True, expires_in=0).current

        assert "The security token you provided has expired." in self.refusal(config, key)
