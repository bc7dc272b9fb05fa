"""A rotation that comes later than NextRotationDate said."""

import pytest

from ..conftest import SECRET, wait_until

LATE = "late/key"


@pytest.mark.slow  # the secret is asked for again 5 s after its date, and then less and less often
def test_readers_have_the_new_key_seconds_later(cloud, credentials):
    cloud.create_secret(LATE, next_rotation=-1)
    credentials.get(LATE)
    credentials.get(SECRET)
    cloud.rotate(LATE, grace=60)  # no call is rejected meanwhile

    wait_until(lambda: credentials.get(LATE).access_key_id == cloud.secret(LATE).current.access_key_id, 8)
    assert len(cloud.calls("secrets_manager", secret=LATE)) == 2
    assert len(cloud.calls("secrets_manager", secret=SECRET)) == 1


@pytest.mark.slow
def test_date_that_has_just_come_is_asked_about_again_where_no_rotation_came_with_it(cloud, credentials):
    cloud.create_secret(LATE, next_rotation=-2)
    credentials.get(LATE)

    wait_until(lambda: credentials.stats()[LATE].fetches == 2 and credentials.stats()[LATE].next_refresh > 0, 8)
    assert credentials.stats()[LATE].next_refresh < 16
