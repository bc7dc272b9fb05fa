"""The scenarios of the demo, and what is said of each. A ``Result`` is a dictionary, as ``--json`` prints it."""
from typing import Any, Dict, NamedTuple, Optional, Sequence

Result = Dict[str, Any]

# Seconds from the return of Secrets Manager after which calls must work again. After a failure, the clients wait up to
# 5 s before they ask again.
RETURN_LIMIT = 6.0


class Figures(NamedTuple):
    """What was counted while a scenario was played.

    Attributes:
        calls: the calls of the managed clients.
        failed: how many of them failed.
        lost: the errors of those that failed although they could have succeeded.
        fetches: how often Secrets Manager was asked since the clients were made.
        plain_calls: the calls of the plain client.
        plain_failed: how many of them failed.
        back_after: seconds from the end of the outage until a managed call succeeded; None if there was no outage, or
            no such call.
    """

    calls: int = 0
    failed: int = 0
    lost: Sequence[str] = ()
    fetches: int = 0
    plain_calls: int = 0
    plain_failed: int = 0
    back_after: Optional[float] = None


class Scenario(NamedTuple):
    """One way in which a key is replaced. All times are in seconds.

    Attributes:
        name: its name in the result.
        title: its title.
        happens: what happens, with these times as fields.
        before: how long calls run before the key is replaced.
        after: how long they run on when services reject the old key, or after an outage when calls work again.
        grace: how long services go on accepting the old key.
        propagation: the time until services accept the new key.
        outage: how long Secrets Manager is down from the moment when the key is replaced.
    """

    name: str
    title: str
    happens: str
    before: float = 0.7
    after: float = 2.3
    grace: float = 0.0
    propagation: float = 0.0
    outage: float = 0.0

    def at(self, pace: float) -> "Scenario":
        """Return the scenario with its times multiplied by ``pace``."""
        return self._replace(before=self.before * pace, after=self.after * pace, grace=self.grace * pace,
                             propagation=self.propagation * pace, outage=self.outage * pace)

    def so_far(self, figures: Figures, now: str) -> Result:
        """Return what is known while the scenario is played. Its ``ok`` is None.

        Args:
            figures: the figures up to now.
            now: what happens now.
        """
        said = "{}, {} failed".format(_number(figures.calls, "call"), figures.failed)
        return self._result(figures, None, said, now)

    def result(self, figures: Figures) -> Result:
        """Return what came of the scenario."""
        if figures.lost:
            ok, said = False, "{}, {} failed that could have succeeded: {}".format(
                _number(figures.calls, "call"), len(figures.lost), ", ".join(sorted(set(figures.lost))))
        elif self.outage:
            ok, said = figures.back_after is not None, self._after_outage(figures)
        else:
            failed = "{} failed".format(figures.failed)
            if figures.failed:
                failed += " that could not succeed"
            ok, said = True, "{}, {}, {} of the new key".format(
                _number(figures.calls, "call"), failed, _number(figures.fetches, "fetch", "fetches"))
        return self._result(figures, ok, said)

    @staticmethod
    def _after_outage(figures: Figures) -> str:
        calls = _number(figures.calls, "call")
        if figures.back_after is None:
            return "{}. They did not work again within {:g} s of the return.".format(calls, RETURN_LIMIT)
        return "{}: {} could not succeed, all others did. Calls worked again {:.1f} s after the return.".format(
            calls, figures.failed, figures.back_after)

    def _result(self, figures: Figures, ok: Optional[bool], said: str, now: Optional[str] = None) -> Result:
        plain = "{}, {} failed".format(_number(figures.plain_calls, "call"), figures.plain_failed)
        if figures.plain_failed:
            plain += ". It needs a restart with the new key."
        back = None if figures.back_after is None else round(figures.back_after, 2)
        result = {
            "name": self.name,
            "title": self.title,
            "happens": self.happens.format(limit=RETURN_LIMIT, **self._asdict()),
            "ok": ok,
            "managed": {"said": said, "calls": figures.calls, "failed": figures.failed, "lost": len(figures.lost),
                        "fetches": figures.fetches, "back_after": back},
            "plain": {"said": plain, "calls": figures.plain_calls, "failed": figures.plain_failed},
        }
        return result if now is None else dict(result, now=now)


SCENARIOS = (
    Scenario(
        "scheduled", "A scheduled rotation",
        "Secrets Manager replaces the key. Services accept the old key for {grace:g} s more.", after=1.1, grace=1.2),
    Scenario(
        "leak", "A leak",
        "The key was stolen. It is replaced, and services reject the old one at once."),
    Scenario(
        "late", "Services learn of the new key late",
        "Services reject the old key at once, but accept the new key only {propagation:g} s later.", propagation=0.5),
    Scenario(
        "outage", "An outage of Secrets Manager during a rotation",
        "The key is replaced while Secrets Manager is down for {outage:g} s, and services reject the old one at once. "
        "Until Secrets Manager is back, nobody can get the new key, and calls fail. They must work again within "
        "{limit:g} s of its return.", after=0.8, outage=1.5),
)


def document_of(results: Sequence[Result]) -> Dict[str, Any]:
    """Return the results of all scenarios with one verdict, as ``--json`` prints them."""
    wrong = [result["title"] for result in results if not result["ok"]]
    verdict = "No call failed that could have succeeded."
    if wrong:
        verdict = "This should not happen. See: {}.".format("; ".join(wrong))
    return {"ok": not wrong, "verdict": verdict, "scenarios": list(results)}


def _number(count: int, one: str, many: str = "") -> str:
    return "{} {}".format(count, one if count == 1 else many or one + "s")
