"""When a secret is refreshed next: functions without state of their own."""

from . import timing
from .entry import Entry, equal_jitter, spread_evenly
from .events import Now


def age(entry: Entry, now: Now) -> float:
    """Return the seconds since a secret was read, by the clock that says more.

    The monotonic clock may stand still while the machine is suspended.

    Args:
        entry: the secret's entry, with a key.
        now: the moment, by both clocks.
    """
    return max(now.monotonic - entry.read_monotonic, now.time - entry.read_time)


def is_overdue(entry: Entry, now: Now, refresh_interval: float) -> bool:
    """Return whether ``NextRotationDate`` has passed without a new version.

    A date that had passed more than an interval before this version was first read does not count.

    Args:
        entry: the secret's entry, with a key.
        now: the moment, by both clocks.
        refresh_interval: the longest time between two refreshes, in seconds.
    """
    rotation = entry.next_rotation
    return rotation is not None and entry.version_time - refresh_interval < rotation <= now.time


def is_backing_off(entry: Entry, now: Now) -> bool:
    """Return whether a failed read is to be tried again later. Clients that come and go do not hasten that.

    Args:
        entry: the secret's entry.
        now: the moment, by both clocks.
    """
    return entry.refresh_failures > 0 and entry.retry_at > now.monotonic


def next_refresh(entry: Entry, now: Now, refresh_interval: float) -> float:
    """Return the seconds until a secret is to be refreshed.

    Args:
        entry: the secret's entry, with a key.
        now: the moment.
        refresh_interval: the longest time between two refreshes, in seconds.
    """
    if is_backing_off(entry, now):
        return entry.retry_at - now.monotonic
    if entry.is_recovered:
        return equal_jitter(timing.FIRST_REFRESH_DELAY)
    delay = refresh_interval * spread_evenly(1.0 - entry.spread, 1.0) - age(entry, now)
    if entry.next_rotation is not None and entry.next_rotation > entry.read_time:
        delay = min(delay, entry.next_rotation - now.time + spread_evenly(*timing.ROTATION_SPREAD))
    elif entry.overdue_since is not None:
        wait = timing.FIRST_OVERDUE_DELAY + 2 * max(entry.read_monotonic - entry.overdue_since, 0.0)
        delay = min(delay, equal_jitter(min(wait, timing.LONGEST_OVERDUE_DELAY)) - age(entry, now))
    if entry.expires is not None and entry.expires > entry.read_time:
        margin = min((entry.expires - entry.read_time) / timing.EXPIRY_PART, timing.LONGEST_EXPIRY_MARGIN)
        delay = min(delay, entry.expires - now.time - equal_jitter(margin))
    if entry.refresh_at is not None and entry.refresh_at > now.time:
        wanted = entry.refresh_at - now.time
        delay = min(wanted, delay) if entry.may_be_earlier else wanted
    return max(delay, entry.read_monotonic + timing.LEAST_REFRESH_DELAY - now.monotonic, 0.0)
