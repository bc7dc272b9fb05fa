"""What ``ManagedCredentials.stats`` says, as metrics of ``prometheus_client``: needs the extra ``prometheus``."""

from typing import Iterator, Optional

from . import managed_credentials

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        '{} needs the extra "prometheus": pip install '
        '"aliyun-sdk-managed-credentials-providers[prometheus]"'.format(__name__)
    ) from error

__all__ = ["ManagedCredentialsCollector"]

_PREFIX = "managed_credentials_"
_LABELS = ["secret_name"]
# By the fields of SecretStats.
_COUNTERS = {
    "fetches": "Reads of the secret from Secrets Manager that ended.",
    "failures": "Reads of the secret from Secrets Manager that failed.",
    "renewals": "Reads of the secret because a service rejected its key.",
    "rotations": "New keys that replaced another.",
}
_GAUGES = {
    "age": "Seconds since the secret was read.",
    "next_refresh": "Seconds until the secret is read again.",
}


class ManagedCredentialsCollector(Collector):
    """The stats of each secret in this process, taken as they are when they are asked for; it asks nobody itself.

    Args:
        credentials: whose stats; None takes the instance that proxies share which are given none, whichever that is at
            the time, and has no samples before there is one.

    Example::

        from prometheus_client import REGISTRY

        REGISTRY.register(ManagedCredentialsCollector())
    """

    def __init__(self, credentials: Optional[managed_credentials.ManagedCredentials] = None) -> None:
        self._credentials = credentials

    def collect(self) -> Iterator[Metric]:
        """Return the metrics; ``prometheus_client`` calls it at each scrape."""
        credentials = self._credentials or managed_credentials._set_default or managed_credentials._default
        secrets = {} if credentials is None else credentials.stats()
        for field, documentation in _COUNTERS.items():
            counter = CounterMetricFamily(_PREFIX + field, documentation, labels=_LABELS)
            for secret_name, stats in secrets.items():
                counter.add_metric([secret_name], getattr(stats, field))
            yield counter
        for field, documentation in _GAUGES.items():
            gauge = GaugeMetricFamily(_PREFIX + field + "_seconds", documentation, labels=_LABELS)
            for secret_name, stats in secrets.items():
                if getattr(stats, field) is not None:
                    gauge.add_metric([secret_name], getattr(stats, field))
            yield gauge
        version = InfoMetricFamily(_PREFIX + "version", "The version of the secret that was read last.", labels=_LABELS)
        for secret_name, stats in secrets.items():
            if stats.version_id is not None:
                version.add_metric([secret_name], {"version_id": stats.version_id})
        yield version
