"""What callers of the controls may send, and how it is read."""
from typing import Any, Dict, Tuple

from ..faults import Fault

NUMBER = (int, float)


class BadInput(ValueError):
    """A request to the controls that cannot be carried out; the message says why."""


def fields(given: Any, required: Dict[str, Any], optional: Dict[str, Any]) -> Dict[str, Any]:
    """Check an object's fields.

    Args:
        given: as parsed.
        required: names and types.
        optional: names and types; null counts as absent.

    Returns:
        What was given, without nulls.

    Raises:
        BadInput: it is no object, or a field is missing, unknown or of another type.
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
        # bool is an int to Python, not to JSON.
        if not isinstance(value, known[name]) or (isinstance(value, bool) and known[name] is not bool):
            raise BadInput("the field {!r} must be {}".format(name, _type_name(known[name])))
    return found


_FAULTS: Dict[str, Tuple[Dict[str, Any], Dict[str, Any]]] = {
    "status": ({"status": int}, {"code": str}), "throttling": ({}, {}), "forbidden": ({}, {}),
    "html": ({}, {"status": int}), "body": ({"body": str}, {"status": int, "content_type": str}), "reset": ({}, {}),
    "hang": ({}, {}), "slow": ({"seconds": NUMBER}, {}), "drip": ({"seconds": NUMBER}, {}), "cut": ({}, {}),
    "refuse": ({}, {}), "expired_certificate": ({}, {}), "untrusted_certificate": ({}, {}),
}


def fault(kind: str, settings: Dict[str, Any]) -> Fault:
    """Make the fault that a request describes.

    Raises:
        BadInput: there is no such kind, or the settings are not its own.
    """
    if kind not in _FAULTS:
        raise BadInput("there is no fault of kind {!r}; there are {}".format(kind, ", ".join(sorted(_FAULTS))))
    chosen = fields(settings, *_FAULTS[kind])
    if "body" in chosen:
        chosen["body"] = chosen["body"].encode("utf-8")
    made: Fault = getattr(Fault, kind)(**chosen)
    return made


def _type_name(kind: Any) -> str:
    return {str: "text", int: "a whole number", bool: "true or false", NUMBER: "a number"}[kind]
