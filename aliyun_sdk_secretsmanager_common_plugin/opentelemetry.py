"""``ManagedCredentials.stats()`` as metrics of OpenTelemetry. This needs the extra ``opentelemetry``."""

from typing import Callable, Iterator, Optional

from .managed_credentials import ManagedCredentials
from .metrics import COUNTERS, FLAGS, GAUGES, VERSION, stats_of, value_of
from .plugin_kit import extra
from .version import __version__

with extra("opentelemetry", __name__):
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

__all__ = ["create_instruments"]

_PREFIX = "managed_credentials."


def create_instruments(
    credentials: Optional[ManagedCredentials] = None, meter_provider: Optional[MeterProvider] = None
) -> None:
    """Create observable instruments for the stats of each secret in this process. They never read a secret.

    An exporter for Prometheus gives them the names that ``ManagedCredentialsCollector`` has.

    Args:
        credentials: the instance to observe. None observes the shared default instance, if there is one at the time of
            the observation.
        meter_provider: where the instruments are created. None is the global one. OpenTelemetry ignores a second call
            for the same provider, so each instance needs a provider of its own.
    """
    def values_of(name: str) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observe(options: CallbackOptions) -> Iterator[Observation]:
            for secret_name, stats in stats_of(credentials).items():
                value = value_of(stats, name)
                if value is not None:
                    yield Observation(value, {"secret_name": secret_name})

        return observe

    def versions(options: CallbackOptions) -> Iterator[Observation]:
        for secret_name, stats in stats_of(credentials).items():
            if stats.version_id is not None:
                yield Observation(1, {"secret_name": secret_name, "version_id": stats.version_id})

    meter = get_meter(__name__.rpartition(".")[0], __version__, meter_provider)
    for name, description in COUNTERS.items():
        meter.create_observable_counter(_PREFIX + name, [values_of(name)], "", description)
    for unit, gauges in (("s", GAUGES), ("", FLAGS)):
        for name, description in gauges.items():
            meter.create_observable_gauge(_PREFIX + name, [values_of(name)], unit, description)
    meter.create_observable_gauge(_PREFIX + "version_info", [versions], "", VERSION)
