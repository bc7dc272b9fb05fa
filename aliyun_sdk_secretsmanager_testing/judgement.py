"""Decide from the cloud's own log whether a call could have succeeded."""
import math
from bisect import bisect_left
from typing import List, Optional, Sequence, Tuple

from .calls import Call
from .faults import Span
from .secrets_manager.state import Secret
from .service import Shared


class Judgement:
    """The history of one secret: its keys, its answers, and the faults of the gateways.

    Args:
        shared: what all services of the cloud share.
        secret: the secret.
        gateways: service and region of all gateways.
        cool_down: seconds; see ``LocalCloud.could_have_succeeded``.
    """

    def __init__(self, shared: Shared, secret: Secret, gateways: Sequence[Tuple[str, Optional[str]]],
                 cool_down: float) -> None:
        self._keyring = shared.keyring
        self._secret = secret
        self._keys = shared.keyring.of_secret(secret.name)
        self._faults = [shared.faults.spans(service, region) for service, region in gateways]
        services = {service for service, _ in gateways}
        self._answers = [call for service in services for call in shared.log.select(service, secret=secret.name)]
        self._good = sorted(call.ended for call in self._answers if self._was_good(call))
        self._pauses = self._after_failures(cool_down) if cool_down > 0 else []
        if cool_down > 0:
            self._pauses += self._after_refusals(shared, gateways, cool_down)

    def at_some_moment(self, started: float, ended: float, steady: float) -> bool:
        """Whether a call could have succeeded at some moment, and all the time around it.

        Args:
            started: the first moment, in monotonic seconds.
            ended: the last moment.
            steady: seconds before and after the moment.
        """
        first, last = started - steady, ended + steady
        since = -math.inf  # since when a call could have succeeded; inf where it could not
        # Nothing changes between one change and the next, so it is enough to look at the changes.
        for moment in sorted({first}.union(moment for moment in self._changes() if first < moment <= last)):
            if self._at(moment):
                since = min(since, moment)
            else:
                if max(started, since + steady) < moment - steady:
                    return True
                since = math.inf
        return max(started, since + steady) <= ended

    def _at(self, moment: float) -> bool:
        return any(self._keyring.accepted(key, moment) and (self._held(key, moment) or self._would_give(key, moment))
                   for key in self._keys)

    def _held(self, key: str, moment: float) -> bool:
        return any(call.given == key and call.ended <= moment for call in self._answers)

    def _would_give(self, key: str, moment: float) -> bool:
        return (self._secret.given_key(moment) == key
                and any(not _in(spans, moment) for spans in self._faults)
                and not _in(self._pauses, moment))

    def _was_good(self, call: Call) -> bool:
        return call.given is not None and self._keyring.accepted(call.given, call.ended)

    def _after_failures(self, cool_down: float) -> List[Span]:
        return [self._pause(call.started, call.ended + cool_down) for call in self._answers if not self._was_good(call)]

    def _after_refusals(self, shared: Shared, gateways: Sequence[Tuple[str, Optional[str]]],
                        cool_down: float) -> List[Span]:
        """A refused connection leaves no record, so the last one is taken to be at the end of the fault."""
        return [self._pause(span.end, span.end + cool_down) for service, region in gateways
                for kind in ("refuse", "expired_certificate", "untrusted_certificate")
                for span in shared.faults.spans(service, region, kind)]

    def _pause(self, began: float, over: float) -> Span:
        """Return the time from a failed request until the client asks again, or until a good answer."""
        after = bisect_left(self._good, began)
        return Span(began, min([over] + self._good[after:after + 1]))

    def _changes(self) -> List[float]:
        changes = self._keyring.changes(self._secret.name) + self._secret.changes()
        for spans in self._faults + [self._pauses]:
            changes += [moment for span in spans for moment in span]
        return changes + [call.ended for call in self._answers]


def _in(spans: Sequence[Span], moment: float) -> bool:
    return any(span.holds(moment) for span in spans)
