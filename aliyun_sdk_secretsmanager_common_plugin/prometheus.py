"""``ManagedCredentials.stats()`` as metrics of ``prometheus_client``. This needs the extra ``prometheus``."""

from typing import Iterator, Optional

from .managed_credentials import ManagedCredentials
from .metrics import COUNTERS, GAUGES, VERSION, stats_of
from .plugin_kit import extra

with extra("prometheus", __name__):
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
    from prometheus_client.registry import Collector

__all__ = ["ManagedCredentialsCollector"]

_PREFIX = "managed_credentials_"
_LABELS = ["secret_name"]


class ManagedCredentialsCollector(Collector):
    """Collects the stats of each secret in this process at each scrape. It never reads a secret.

    Args:
        credentials: the instance to collect from. None collects from the shared default instance, if there is one at
            the time of the scrape.

    Example::

        from prometheus_client import REGISTRY

        REGISTRY.register(ManagedCredentialsCollector())
    """

    def __init__(self, credentials: Optional[ManagedCredentials] = None) -> None:
        self._credentials = credentials

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics. ``prometheus_client`` calls this at each scrape."""
        secrets = stats_of(self._credentials)
        for field, documentation in COUNTERS.items():
            counter = CounterMetricFamily(_PREFIX + field, documentation, labels=_LABELS)
            for secret_name, stats in secrets.items():
                counter.add_metric([secret_name], getattr(stats, field))
            yield counter
        for field, documentation in GAUGES.items():
            gauge = GaugeMetricFamily(_PREFIX + field + "_seconds", documentation, labels=_LABELS)
            for secret_name, stats in secrets.items():
                if getattr(stats, field) is not None:
                    gauge.add_metric([secret_name], getattr(stats, field))
            yield gauge
        version = InfoMetricFamily(_PREFIX + "version", VERSION, labels=_LABELS)
        for secret_name, stats in secrets.items():
            if stats.version_id is not None:
                version.add_metric([secret_name], {"version_id": stats.version_id})
        yield version
