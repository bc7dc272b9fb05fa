"""The paths of the metadata service."""
from typing import Optional, Tuple

_TOKEN = ("PUT", "/latest/api/token")
_CREDENTIALS = "/latest/meta-data/ram/security-credentials/"


def action(method: str, path: str) -> Tuple[str, Optional[str]]:
    """What a request asks for.

    Returns:
        ``GetToken``, ``GetRole``, or ``GetCredentials`` with the name of a role; empty for anything else.
    """
    if (method, path) == _TOKEN:
        return "GetToken", None
    if method == "GET" and path + "/" == _CREDENTIALS:
        return "GetRole", None
    if method == "GET" and path.startswith(_CREDENTIALS):
        role = path[len(_CREDENTIALS):]
        return ("GetCredentials", role) if role else ("GetRole", None)
    return "", None
