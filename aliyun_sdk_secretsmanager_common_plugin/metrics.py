"""What ``prometheus`` and ``opentelemetry`` measure of each secret in this process."""

from typing import Dict, Optional

from .keeper import SecretStats
from .managed_credentials import ManagedCredentials
from .runtime import process

# Descriptions, by the field of SecretStats.
COUNTERS = {
    "fetches": "Reads of the secret from Secrets Manager that ended.",
    "failures": "Reads of the secret from Secrets Manager that failed.",
    "renewals": "Reads of the secret because a service rejected its key.",
    "rotations": "New keys that replaced another.",
}
# In seconds.
GAUGES = {
    "age": "Seconds since the secret was read.",
    "next_refresh": "Seconds until the secret is read again.",
    "expires_in": "Seconds until the temporary key expires.",
}
VERSION = "The version of the secret that was read last."


def stats_of(credentials: Optional[ManagedCredentials]) -> Dict[str, SecretStats]:
    """Return the stats of each secret by its name. None stands for the default instance, if there is one by now."""
    credentials = credentials or process.chosen or next(iter(list(process.default.values())), None)
    return {} if credentials is None else credentials.stats()
