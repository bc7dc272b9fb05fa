"""``ManagedCredentials.stats()`` as metrics of ``prometheus_client``. This needs the extra ``prometheus``."""

from typing import Any, Dict, Iterator, Optional

from .keeper import SecretStats
from .managed_credentials import ManagedCredentials
from .metrics import COUNTERS, FLAGS, GAUGES, VERSION, stats_of, value_of
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
        for name, documentation in COUNTERS.items():
            yield _filled(CounterMetricFamily(_PREFIX + name, documentation, labels=_LABELS), name, secrets)
        for unit, gauges in (("_seconds", GAUGES), ("", FLAGS)):
            for name, documentation in gauges.items():
                yield _filled(GaugeMetricFamily(_PREFIX + name + unit, documentation, labels=_LABELS), name, secrets)
        version = InfoMetricFamily(_PREFIX + "version", VERSION, labels=_LABELS)
        for secret_name, stats in secrets.items():
            if stats.version_id is not None:
                version.add_metric([secret_name], {"version_id": stats.version_id})
        yield version


def _filled(metric: Any, name: str, secrets: Dict[str, SecretStats]) -> Any:
    """Return a metric with a sample for each secret that has this value."""
    for secret_name, stats in secrets.items():
        value = value_of(stats, name)
        if value is not None:
            metric.add_metric([secret_name], value)
    return metric
