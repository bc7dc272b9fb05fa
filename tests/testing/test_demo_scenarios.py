"""What the demo says of a scenario, and how its calls are judged: without threads, and with an invented clock."""

import pytest

from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud, MovableClock
from aliyun_sdk_secretsmanager_testing.demo.scenarios import SCENARIOS, Figures, Scenario, document_of
from aliyun_sdk_secretsmanager_testing.demo.tally import Done, Tally

SECRET = "demo/key"
LEAK = Scenario("leak", "A leak", "The old key is rejected at once.")
OUTAGE = Scenario("outage", "An outage", "It is down for {outage:g} s; calls work within {limit:g} s.", outage=2.0)


def test_calls_failures_and_fetches_are_said_in_one_line():
    result = LEAK.result(Figures(calls=180, fetches=1, plain_calls=90, plain_failed=60))

    assert result["ok"] is True
    assert result["managed"]["said"] == "180 calls, 0 failed, 1 fetch of the new key"
    assert result["plain"]["said"] == "90 calls, 60 failed. It needs a restart with the new key."


def test_numbers_and_nouns_agree():
    result = LEAK.result(Figures(calls=1, fetches=2))

    assert result["managed"]["said"] == "1 call, 0 failed, 2 fetches of the new key"
    assert result["plain"]["said"] == "0 calls, 0 failed"


def test_a_call_that_could_have_succeeded_is_a_failure_with_its_error():
    result = LEAK.result(Figures(calls=9, failed=4, lost=["ServerError B", "ServerError A", "ServerError B"]))

    assert result["ok"] is False
    assert result["managed"]["said"] == "9 calls, 3 failed that could have succeeded: ServerError A, ServerError B"
    assert result["managed"]["lost"] == 3


def test_a_call_that_could_not_succeed_is_no_failure():
    result = LEAK.result(Figures(calls=9, failed=2, fetches=1))

    assert result["ok"] is True
    assert result["managed"]["said"] == "9 calls, 2 failed that could not succeed, 1 fetch of the new key"


def test_an_outage_is_judged_by_the_return_of_the_calls():
    result = OUTAGE.result(Figures(calls=90, failed=40, fetches=3, back_after=0.8123))

    assert result["ok"] is True
    assert result["happens"] == "It is down for 2 s; calls work within 6 s."
    assert result["managed"]["said"] == (
        "90 calls: 40 could not succeed, all others did. Calls worked again 0.8 s after the return.")
    assert result["managed"]["back_after"] == 0.81


def test_calls_that_do_not_work_again_after_an_outage_are_a_failure():
    result = OUTAGE.result(Figures(calls=90, failed=80))

    assert result["ok"] is False
    assert result["managed"]["said"] == "90 calls. They did not work again within 6 s of the return."


def test_nothing_is_judged_before_the_end():
    result = OUTAGE.so_far(Figures(calls=90, failed=80), "Secrets Manager is down.")

    assert result["ok"] is None
    assert result["now"] == "Secrets Manager is down."
    assert result["managed"]["said"] == "90 calls, 80 failed"
    assert "now" not in OUTAGE.result(Figures())


def test_a_pace_changes_the_times_and_what_is_said_of_them():
    fast = OUTAGE.at(0.5)

    assert (fast.before, fast.after, fast.outage) == (OUTAGE.before / 2, OUTAGE.after / 2, 1.0)
    assert fast.result(Figures())["happens"] == "It is down for 1 s; calls work within 6 s."


def test_the_verdict_names_the_scenarios_that_went_wrong():
    good, bad = LEAK.result(Figures()), OUTAGE.result(Figures())

    assert document_of([good]) == {
        "ok": True, "verdict": "No call failed that could have succeeded.", "scenarios": [good]}
    assert document_of([good, bad])["ok"] is False
    assert document_of([good, bad])["verdict"] == "This should not happen. See: An outage."


def test_the_outage_comes_last_and_each_scenario_leaves_time_to_see_the_new_key_work():
    assert [bool(scenario.outage) for scenario in SCENARIOS] == [False] * (len(SCENARIOS) - 1) + [True]
    assert all(scenario.after > scenario.propagation + 0.5 for scenario in SCENARIOS)
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) >= 4


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def still_cloud(clock):
    """A cloud that is not started, so that only the clock and the test change it."""
    cloud = LocalCloud(clock=clock)
    cloud.create_secret(SECRET)
    return cloud


@pytest.fixture
def tally(still_cloud):
    return Tally(still_cloud, SECRET)


def failed_call(clock, managed=True):
    started = clock.monotonic()
    clock.advance(0.1)
    return Done(managed, started, clock.monotonic(), "ServerException InvalidAccessKeyId")


def test_a_failed_call_is_lost_if_secrets_manager_had_a_valid_key(clock, still_cloud, tally):
    still_cloud.rotate(SECRET)
    tally.add(failed_call(clock))

    assert tally.figures().failed == 1
    assert tally.judged().lost == ["ServerException InvalidAccessKeyId"]


def test_a_failed_call_is_not_lost_if_secrets_manager_was_down(clock, still_cloud, tally):
    still_cloud.inject("secrets_manager", Fault.status(503))
    still_cloud.rotate(SECRET)
    clock.advance(0.1)
    tally.add(failed_call(clock))
    clock.advance(0.1)
    still_cloud.clear("secrets_manager")

    assert tally.judged().lost == []
    tally.add(failed_call(clock))
    assert len(tally.judged().lost) == 1, "now it is back"


def test_a_failed_call_is_not_lost_before_a_service_knows_the_new_key(clock, still_cloud, tally):
    still_cloud.rotate(SECRET, propagation=5.0)
    tally.add(failed_call(clock))

    assert tally.judged().lost == []


def test_the_plain_client_is_counted_but_not_judged(clock, still_cloud, tally):
    still_cloud.rotate(SECRET)
    tally.add(failed_call(clock, managed=False))

    assert tally.judged() == Figures(plain_calls=1, plain_failed=1, lost=[])


def test_calls_are_back_with_the_first_that_began_after_the_return_and_succeeded(tally):
    tally.add(Done(True, 9.0, 10.5))
    tally.add(Done(True, 10.1, 10.6, "an error"))
    tally.add(Done(False, 10.1, 10.7))
    assert tally.back_after(10.0) is None

    tally.add(Done(True, 11.0, 11.5))
    tally.add(Done(True, 11.0, 11.25))
    assert tally.judged(back=10.0).back_after == 1.25
    assert tally.judged().back_after is None
