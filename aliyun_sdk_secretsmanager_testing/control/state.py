"""The fields of requests to the controls, and the faults that they describe."""
import math
from typing import Any, Dict, Tuple

from ..faults import Fault

NUMBER = (int, float)
_TYPE_NAMES: Dict[Any, str] = {str: "text", int: "a whole number", bool: "true or false", NUMBER: "a number"}


class BadInput(ValueError):
    """A request to the controls that is wrong; the message says why."""


def fields(given: Any, required: Dict[str, Any], optional: Dict[str, Any]) -> Dict[str, Any]:
    """Check the fields of a JSON object.

    Args:
        given: the parsed JSON.
        required: the names and types of the fields that must be there.
        optional: the names and types of the fields that may be there; null counts as absent.

    Returns:
        The fields that are not null.

    Raises:
        BadInput: it is no object, or a field is missing, unknown, of another type, or no finite number.
    """
    if not isinstance(given, dict):
        raise BadInput("send a JSON object")
    known = dict(optional, **required)
    found = {name: value for name, value in given.items() if value is not None}
    for name in required:
        if name not in found:
            raise BadInput("the field {!r} is missing".format(name))
    for name, value in found.items():
        if name not in known:
            raise BadInput("there is no field {!r}; there are {}".format(name, ", ".join(sorted(known))))
        # In Python a bool is an int; in JSON true is no number.
        if not isinstance(value, known[name]) or (isinstance(value, bool) and known[name] is not bool):
            raise BadInput("the field {!r} must be {}".format(name, _TYPE_NAMES[known[name]]))
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput("the field {!r} must be a finite number".format(name))
    return found


_FAULTS: Dict[str, Tuple[Dict[str, Any], Dict[str, Any]]] = {
    "status": ({"status": int}, {"code": str}), "throttling": ({}, {}), "forbidden": ({}, {}),
    "html": ({}, {"status": int}), "body": ({"body": str}, {"status": int, "content_type": str}), "reset": ({}, {}),
    "hang": ({}, {}), "slow": ({"seconds": NUMBER}, {}), "drip": ({"seconds": NUMBER}, {}),
    "drip_head": ({"seconds": NUMBER}, {}), "continues": ({}, {}), "cut": ({}, {}), "refuse": ({}, {}),
    "expired_certificate": ({}, {}), "untrusted_certificate": ({}, {}),
}


def fault(kind: str, settings: Dict[str, Any]) -> Fault:
    """Return the fault that a request describes.

    Args:
        kind: the name of a class method of ``Fault``.
        settings: the arguments of that method.

    Raises:
        BadInput: there is no such kind, or a setting is missing, unknown or wrong.
    """
    if kind not in _FAULTS:
        raise BadInput("there is no fault of kind {!r}; there are {}".format(kind, ", ".join(sorted(_FAULTS))))
    chosen = fields(settings, *_FAULTS[kind])
    if "body" in chosen:
        chosen["body"] = chosen["body"].encode("utf-8")
    made: Fault = getattr(Fault, kind)(**chosen)
    return made
