"""The paths of the metadata service."""
from typing import Optional, Tuple

# The address of the metadata service on an ECS instance.
ADDRESS = "100.100.100.200"

_TOKEN = ("PUT", "/latest/api/token")
_CREDENTIALS = "/latest/meta-data/ram/security-credentials/"


def action(method: str, path: str) -> Tuple[str, Optional[str]]:
    """Return the action of a request, and the name of the role that it asks for.

    Args:
        method: in upper case.
        path: the path.

    Returns:
        ``GetToken``, ``GetRole`` or ``GetCredentials``, and empty for any other request. None where no role is named.
    """
    if (method, path) == _TOKEN:
        return "GetToken", None
    if method == "GET" and path + "/" == _CREDENTIALS:
        return "GetRole", None
    if method == "GET" and path.startswith(_CREDENTIALS):
        role = path[len(_CREDENTIALS):]
        return ("GetCredentials", role) if role else ("GetRole", None)
    return "", None
