"""Answers that would have a process ask Secrets Manager, or send a call, without end do so only a few times."""

import json
import time

import oss2
import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket
from aliyun_sdk_secretsmanager_testing import Fault

from ..conftest import SECRET, wait_until

MOST_SENDS = 15
MOST_READS, PERIOD = 10, 10.0


def most_reads_in_a_period(cloud, secret=SECRET):
    """Return the most GetSecretValue of a secret in any period."""
    moments = [call.started for call in cloud.calls("secrets_manager", secret=secret)]
    return max(sum(first <= moment < first + PERIOD for moment in moments) for first in moments)


class TestDeadKeys:
    @pytest.fixture
    def flap(self, cloud):
        """Let Secrets Manager answer with some rejected keys, one after another, again and again."""

        def start(keys):
            answers = []
            for number in range(keys):
                pair = cloud.rotate(SECRET)
                answers.append({
                    "SecretName": SECRET, "SecretType": "RAMCredentials", "VersionId": "v{}".format(number),
                    "SecretData": json.dumps({
                        "AccessKeyId": pair.access_key_id, "AccessKeySecret": pair.access_key_secret})})
                cloud.disable_key(pair.access_key_id)
            for number in range(60):
                answer = json.dumps(answers[number % keys]).encode()
                cloud.inject("secrets_manager", Fault.body(answer), times=1)

        return start

    @pytest.mark.parametrize("keys", [2, 3, 4, 7])
    def test_that_flap_cost_a_call_few_sends(self, cloud, make_client, call, flap, keys):
        client = make_client()
        call(client)
        flap(keys)

        for _ in range(3):  # at first the key was accepted before, then it is young
            sent = len(cloud.calls("api"))
            with pytest.raises(ServerException) as caught:
                call(client)
            assert caught.value.get_error_code().startswith("InvalidAccessKeyId")
            assert len(cloud.calls("api")) - sent <= MOST_SENDS

    def test_of_a_new_client(self, cloud, make_client, call, flap):
        flap(2)
        client = make_client()

        with pytest.raises(ServerException):
            call(client)
        assert len(cloud.calls("api")) <= MOST_SENDS


@pytest.mark.slow  # as long as a hundred calls take
def test_one_service_refuses_the_key_that_another_accepts(cloud, properties, make_client, call, closing):
    client = make_client()
    bucket = closing(ProxyBucket(SECRET, cloud.oss_endpoint, "bucket"))
    cloud.inject("oss", Fault.status(403, code="InvalidAccessKeyId"))

    for _ in range(60):
        call(client)
        with pytest.raises(oss2.exceptions.ServerError):
            bucket.get_object_meta("key")

    assert most_reads_in_a_period(cloud) <= MOST_READS


@pytest.mark.slow
def test_of_many_threads(cloud, properties, make_client, call, closing, in_threads):
    client = make_client()
    bucket = closing(ProxyBucket(SECRET, cloud.oss_endpoint, "bucket"))
    cloud.inject("oss", Fault.status(403, code="InvalidAccessKeyId"))

    def work():
        for _ in range(20):
            call(client)
            with pytest.raises(oss2.exceptions.ServerError):
                bucket.get_object_meta("key")

    in_threads([work] * 4)

    assert most_reads_in_a_period(cloud) <= MOST_READS


@pytest.mark.slow  # what is asked again is asked within a second
def test_answers_that_expire_at_once():
    asked = []

    def fetch(name, *rest):
        asked.append(time.monotonic())
        return AccessKey("LTAI5t{:010d}".format(len(asked)), "secret", "token", "version", expires=time.time() + 0.05)

    with ManagedCredentials(Settings(), fetch=fetch) as credentials:
        credentials.get(SECRET)
        wait_until(lambda: len(asked) > 1)

    assert asked[1] - asked[0] > 0.9


def test_refreshes_without_end_are_held_back(cloud, credentials):
    credentials.get(SECRET)
    held = credentials.get(SECRET)

    for _ in range(30):
        credentials.refresh(SECRET)

    assert most_reads_in_a_period(cloud) <= MOST_READS
    assert credentials.get(SECRET) == held


def test_rotations_that_services_accept_are_renewals_each(cloud, make_client, call):
    client = make_client()

    for _ in range(2 * MOST_READS):
        cloud.rotate(SECRET)
        assert call(client)

    assert len(cloud.calls("secrets_manager")) == 1 + 2 * MOST_READS


def test_key_that_is_rolled_back_and_forth_costs_no_call(cloud, make_client, call):
    client = make_client()
    call(client)
    cloud.rotate(SECRET)

    for _ in range(MOST_READS // 2):
        assert call(client)
        cloud.rollback(SECRET)
    assert call(client)
    assert most_reads_in_a_period(cloud) <= MOST_READS
