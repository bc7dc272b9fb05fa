"""What ``prometheus`` and ``opentelemetry`` measure of each secret in this process."""

from typing import Dict, Optional, cast

from .keeper import SecretStats
from .managed_credentials import ManagedCredentials
from .runtime import process

# Descriptions by name, which is the field of SecretStats, or "shared_store_" and that of SharedStoreStats.
COUNTERS = {
    "fetches": "Reads of the secret from Secrets Manager that ended.",
    "failures": "Reads of the secret from Secrets Manager that failed.",
    "renewals": "Reads of the secret because a service rejected its key.",
    "rotations": "New keys that replaced another.",
    "shared_store_hits": "Keys that were taken from the shared store.",
    "shared_store_misses": "Looks into the shared store that gave no key to use.",
    "shared_store_leases": "Reads from Secrets Manager that were made for all processes of the shared store.",
    "shared_store_waits": "Times that the answer of another process was waited for.",
    "shared_store_announcements": "Announcements of other processes that were heard.",
    "shared_store_ignored": "Values of the shared store that could not be used.",
}
# In seconds.
GAUGES = {
    "age": "Seconds since the secret was read.",
    "next_refresh": "Seconds until the secret is read again.",
    "expires_in": "Seconds until the temporary key expires.",
}
# Either 1 or 0.
FLAGS = {
    "shared_store_off": "Whether the shared store is not asked at present, since it failed.",
}
VERSION = "The version of the secret that was read last."

_SHARED_STORE = "shared_store_"


def stats_of(credentials: Optional[ManagedCredentials]) -> Dict[str, SecretStats]:
    """Return the stats of each secret by its name. None stands for the default instance, if there is one by now."""
    credentials = credentials or process.chosen or next(iter(list(process.default.values())), None)
    return {} if credentials is None else credentials.stats()


def value_of(stats: SecretStats, name: str) -> Optional[float]:
    """Return the value of a counter, gauge or flag of a secret; None if it has none."""
    if not name.startswith(_SHARED_STORE):
        return cast(Optional[float], getattr(stats, name))
    field = name[len(_SHARED_STORE):]
    return getattr(stats.shared_store, "is_off" if field == "off" else field, None)
