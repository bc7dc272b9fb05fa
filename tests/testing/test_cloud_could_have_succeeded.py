"""``could_have_succeeded``, for histories that are made with a movable clock."""
import math

import pytest
import requests
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud, MovableClock
from tests.conftest import wait_until

from .client_keys import PASSWORD, Signer
from .conftest import client_of
from .sdk_requests import answer, get_secret_value

TWO_REGIONS = ("cn-hangzhou", "cn-beijing")


@pytest.fixture
def judge(cloud, clock):
    """A function that judges a call between two moments, in seconds from the beginning of the test."""
    beginning = clock.monotonic()

    def judge(started, ended, **more):
        return cloud.could_have_succeeded("app/key", beginning + started, beginning + ended, **more)

    return judge


def fetch(cloud):
    try:
        return answer(client_of(cloud, cloud.identity), get_secret_value(cloud.gateway_endpoint()))
    except (ServerException, ClientException):
        return None


def test_a_key_that_secrets_manager_would_have_given(cloud, clock, judge):
    assert judge(0, 0)
    clock.advance(10)
    assert judge(0, 10)
    assert judge(-5, 0)
    assert not judge(-5, -1)


def test_a_key_that_the_process_held(cloud, clock, judge):
    fetch(cloud)
    clock.advance(1)
    cloud.inject("secrets_manager", Fault.status(503))
    assert judge(1, 1)
    clock.advance(1)
    cloud.rotate("app/key")
    clock.advance(1)
    assert judge(1.5, 2.5)  # until 2 with the old key
    assert not judge(2, 3)  # the new one was never given


def test_a_key_that_nobody_could_get(cloud, clock, judge):
    cloud.inject("secrets_manager", Fault.hang())
    clock.advance(5)
    cloud.clear()
    clock.advance(5)
    fetch(cloud)
    assert not judge(0, 4.9)
    assert judge(0, 5)
    assert judge(4, 6)
    assert judge(6, 7)


def test_an_answer_counts_from_when_it_was_given(cloud, clock, judge):
    clock.advance(1)
    fetch(cloud)
    cloud.inject("secrets_manager", Fault.status(503))
    clock.advance(9)
    assert judge(5, 6)
    cloud.put_secret_value("app/key", "spoilt")
    clock.advance(5)
    assert judge(14, 15)


def test_the_services_that_do_not_know_the_new_key_yet(cloud, clock, judge):
    clock.advance(1)
    cloud.rotate("app/key", propagation=2)
    clock.advance(5)
    assert not judge(1, 2.9)
    assert judge(1, 3)
    assert judge(0.5, 2)


def test_secrets_manager_that_does_not_give_the_new_key_yet(cloud, clock, judge):
    clock.advance(1)
    cloud.rotate("app/key", publish_delay=2)
    clock.advance(5)
    assert not judge(1, 2.9)
    assert judge(1, 3)


def test_grace_and_rollback(cloud, clock, judge):
    fetch(cloud)
    cloud.inject("secrets_manager", Fault.status(503))
    clock.advance(1)
    cloud.rotate("app/key", grace=2)
    clock.advance(4)
    cloud.rollback("app/key")
    clock.advance(1)
    assert judge(2.9, 4)
    assert not judge(3, 4.9)
    assert judge(4, 5)


def test_an_expired_token_key(clock):
    with LocalCloud(clock=clock) as cloud:
        cloud.create_secret("app/key", token=True, expires_in=10)
        beginning = clock.monotonic()
        clock.advance(20)
        assert cloud.could_have_succeeded("app/key", beginning, beginning + 9)
        assert not cloud.could_have_succeeded("app/key", beginning + 10, beginning + 20)


def test_one_region_without_a_fault_is_enough():
    clock = MovableClock()
    with LocalCloud(regions=TWO_REGIONS, clock=clock) as cloud:
        cloud.create_secret("app/key")
        beginning = clock.monotonic()
        clock.advance(1)
        cloud.inject("secrets_manager", Fault.refuse(), region="cn-hangzhou")
        clock.advance(1)
        assert cloud.could_have_succeeded("app/key", beginning + 1, clock.monotonic())
        cloud.inject("secrets_manager", Fault.status(503), region="cn-beijing")
        clock.advance(1)
        assert not cloud.could_have_succeeded("app/key", beginning + 2, clock.monotonic())


def test_a_counted_fault_ends_with_its_last_request(cloud, clock, judge):
    cloud.inject("secrets_manager", Fault.status(503), times=1)
    clock.advance(5)
    fetch(cloud)
    clock.advance(5)
    assert not judge(0, 4)
    assert judge(6, 7)


def test_secrets_and_faults_of_others_do_not_count(cloud, clock, judge):
    cloud.create_secret("other")
    cloud.inject("secrets_manager", Fault.hang())
    cloud.inject("api", Fault.hang())
    clock.advance(1)
    cloud.rotate("other")
    assert not judge(0, 1)
    cloud.clear("secrets_manager")
    assert judge(1, 1)


def test_cool_down_after_a_failure(cloud, clock, judge):
    cloud.inject("secrets_manager", Fault.status(503), times=1)
    fetch(cloud)
    clock.advance(10)
    assert judge(0, 1)
    assert not judge(0, 4.9, cool_down=5)
    assert judge(0, 5, cool_down=5)


def test_cool_down_after_an_answer_that_the_services_do_not_accept(cloud, clock, judge):
    clock.advance(1)
    cloud.rotate("app/key", publish_delay=1)
    fetch(cloud)  # still gives the old key
    clock.advance(9)
    assert judge(1, 2)
    assert not judge(1, 5.9, cool_down=5)
    assert judge(1, 6, cool_down=5)


def test_cool_down_begins_with_the_request_that_fails(clock):
    with LocalCloud(regions=TWO_REGIONS, clock=clock) as cloud:
        cloud.create_secret("app/key")
        beginning = clock.monotonic()
        cloud.inject("secrets_manager", Fault.hang(), region="cn-hangzhou")
        client = client_of(cloud, cloud.identity)
        client._read_timeout = 0.1
        clock.advance(1)
        with pytest.raises(ClientException):
            client.do_action_with_exception(get_secret_value(cloud.gateway_endpoint("cn-hangzhou")))
        clock.advance(2)
        wait_until(lambda: cloud.calls()[0].ended < math.inf)
        asked = cloud.calls()[0].ended - beginning
        clock.advance(10)

        def judge(started, ended):
            return cloud.could_have_succeeded("app/key", beginning + started, beginning + ended, cool_down=5)

        assert judge(0, 1)  # the other region would have given it
        assert not judge(1, asked + 4.9)
        assert judge(1, asked + 5)


def test_a_moment_in_the_middle_is_enough(cloud, clock, judge):
    for _ in range(2):
        cloud.inject("secrets_manager", Fault.status(503))
        clock.advance(1)
        cloud.clear()
        clock.advance(1)
    assert judge(0.5, 2.5)
    assert not judge(2.1, 2.9)


def test_a_good_answer_ends_the_cool_down(cloud, clock, judge):
    cloud.inject("secrets_manager", Fault.status(503), times=1)
    fetch(cloud)
    clock.advance(1)
    fetch(cloud)
    clock.advance(1)
    cloud.rotate("app/key")
    clock.advance(1)
    assert judge(2, 3, cool_down=5)


def test_cool_down_after_refused_connections_which_leave_no_record(cloud, clock, judge):
    cloud.inject("secrets_manager", Fault.refuse())
    clock.advance(5)
    cloud.clear()
    clock.advance(10)
    assert judge(5, 6)
    assert not judge(5, 7.9, cool_down=3)
    assert judge(5, 8, cool_down=3)


def test_a_held_key_counts_during_the_cool_down(cloud, clock, judge):
    fetch(cloud)
    clock.advance(1)
    cloud.inject("secrets_manager", Fault.status(503), times=1)
    fetch(cloud)
    clock.advance(1)
    assert judge(1, 2, cool_down=5)


def test_only_a_time_counts_that_is_steady(cloud, clock, judge):
    fetch(cloud)
    cloud.inject("secrets_manager", Fault.status(503))
    clock.advance(1)
    cloud.rotate("app/key")  # from 1 to 5 nobody has a key
    clock.advance(4)
    cloud.clear()
    clock.advance(2)
    cloud.inject("secrets_manager", Fault.status(503))  # from 7 on
    clock.advance(1)
    assert not judge(1, 5.9, steady=1)
    assert judge(1, 6, steady=0.9)
    assert not judge(5, 8, steady=1)
    assert not judge(6.2, 8, steady=0.9)
    assert judge(6.2, 8, steady=0.7)
    assert judge(0.5, 0.5, steady=0.4) and not judge(0.6, 0.6, steady=0.5)


def test_a_change_of_keys_is_steady_where_there_is_always_one(cloud, clock, judge):
    fetch(cloud)
    clock.advance(1)
    cloud.rotate("app/key")
    clock.advance(1)
    assert judge(1, 1, steady=0.5)


@pytest.fixture
def with_dedicated(clock, tmp_path):
    """A cloud with a dedicated gateway, whose shared one is down, and a function that asks the dedicated one."""
    with LocalCloud(clock=clock, dedicated=("kst-one",)) as cloud:
        cloud.create_secret("app/key")
        cloud.inject("secrets_manager", Fault.refuse())
        signer = Signer(cloud.create_client_key(tmp_path, PASSWORD))
        body = b"\x0a\x07app/key"
        yield cloud, lambda: requests.post("https://" + cloud.dedicated_endpoint(), data=body, verify=cloud.ca_file,
                                           headers=signer.headers(body, clock.time()), timeout=30).status_code


def test_a_dedicated_gateway_counts_as_a_shared_one_does(with_dedicated, clock):
    cloud, ask = with_dedicated
    beginning = clock.monotonic()

    def judge(started, ended, **more):
        return cloud.could_have_succeeded("app/key", beginning + started, beginning + ended, **more)

    clock.advance(1)
    assert judge(0, 1)  # it would have given the key
    cloud.inject("dedicated", Fault.status(503), times=1)
    clock.advance(1)
    assert not judge(1, 2)
    assert ask() == 503
    clock.advance(1)
    assert not judge(2, 3, cool_down=5)
    assert ask() == 200  # it gave the key, which is held from now on
    cloud.inject("dedicated", Fault.status(503))
    clock.advance(1)
    assert judge(3.5, 4, cool_down=5)
    cloud.rotate("app/key")
    clock.advance(1)
    assert not judge(4, 5)


def test_cool_down_after_connections_that_a_dedicated_gateway_refused(with_dedicated, clock):
    cloud, _ = with_dedicated
    beginning = clock.monotonic()
    cloud.inject("dedicated", Fault.refuse())
    clock.advance(5)
    cloud.clear("dedicated")
    clock.advance(10)
    assert cloud.could_have_succeeded("app/key", beginning + 5, beginning + 6)
    assert not cloud.could_have_succeeded("app/key", beginning + 5, beginning + 7.9, cool_down=3)
    assert cloud.could_have_succeeded("app/key", beginning + 5, beginning + 8, cool_down=3)


def test_bad_questions(cloud, clock):
    with pytest.raises(ValueError, match="before it started"):
        cloud.could_have_succeeded("app/key", 2, 1)
    with pytest.raises(KeyError):
        cloud.could_have_succeeded("none", 1, 2)
