"""The metrics for OpenTelemetry, as its SDK reads and exports them."""

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from aliyun_sdk_secretsmanager_common_plugin import (
    ManagedCredentials,
    ManagedCredentialsError,
    SecretStats,
    SharedStoreStats,
)
from aliyun_sdk_secretsmanager_common_plugin.opentelemetry import create_instruments
from aliyun_sdk_secretsmanager_common_plugin.runtime import process
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings

from .fakes import Source, key
from .test_prometheus import Stats, exposition, parse


class Answers(Source):
    """Gives "app/key" and, a temporary key, "temporary"."""

    def __init__(self):
        super().__init__()
        self.version = "A"
        self.answer = self._answer

    def _answer(self, asked):
        if asked.name == "missing":
            return ValueError()
        return key(self.version, *(["token"] if asked.name == "temporary" else []),
                   **({"expires": 4000000000.0} if asked.name == "temporary" else {}))


@pytest.fixture
def source():
    return Answers()


@pytest.fixture
def credentials(source):
    credentials = ManagedCredentials(Settings(), source)
    for name in ("app/key", "temporary"):
        credentials.get(name)
    with pytest.raises(ManagedCredentialsError):
        credentials.get("missing")
    yield credentials
    credentials.close()


@pytest.fixture
def provide():
    """Call it with a reader: makes a provider, which ends with the test."""
    providers = []

    def new(reader):
        providers.append(MeterProvider([reader]))
        return providers[-1]

    yield new
    for provider in providers:
        provider.shutdown()


@pytest.fixture
def reader():
    return InMemoryMetricReader()


def metrics_of(reader):
    data = reader.get_metrics_data()
    return [metric for resource in data.resource_metrics for scope in resource.scope_metrics
            for metric in scope.metrics] if data else []


def values_of(reader, secret_name):
    """Return the values of a secret by metric. That of the version is its attribute."""
    found = [(metric.name[len("managed_credentials."):], point.attributes.get("version_id", point.value))
             for metric in metrics_of(reader) for point in metric.data.data_points
             if point.attributes["secret_name"] == secret_name]
    assert len(found) == len(dict(found)), "two values of one metric"
    return dict(found)


def test_values_are_those_of_the_moment(source, credentials, reader, provide):
    create_instruments(credentials, provide(reader))
    assert values_of(reader, "app/key") == {
        "fetches": 1, "failures": 0, "renewals": 0, "rotations": 0, "age": pytest.approx(0, abs=60),
        "next_refresh": pytest.approx(3600, abs=420), "version_info": "version-A"}

    source.version = "B"
    credentials.refresh("app/key")

    after = values_of(reader, "app/key")
    assert (after["fetches"], after["rotations"]) == (2, 1)
    assert after["version_info"] == "version-B"


def test_time_until_a_temporary_key_expires(credentials, reader, provide):
    create_instruments(credentials, provide(reader))

    assert values_of(reader, "temporary")["expires_in"] > 10 ** 9


def test_secret_that_could_not_be_read_has_counters_alone(credentials, reader, provide):
    create_instruments(credentials, provide(reader))

    assert values_of(reader, "missing") == {"fetches": 1, "failures": 1, "renewals": 0, "rotations": 0}


def test_shared_store(reader, provide):
    shared = SharedStoreStats(hits=1, misses=2, leases=3, waits=4, announcements=5, ignored=6, is_off=True)
    stats = SecretStats("v1", 0.0, 1.0, 0, 0, 0, 0, shared_store=shared)
    create_instruments(Stats({"app/key": stats}), provide(reader))

    values = values_of(reader, "app/key")
    assert {name: value for name, value in values.items() if name.startswith("shared_store_")} == {
        "shared_store_hits": 1, "shared_store_misses": 2, "shared_store_leases": 3, "shared_store_waits": 4,
        "shared_store_announcements": 5, "shared_store_ignored": 6, "shared_store_off": 1}


def test_default_instance_is_that_of_the_observation(credentials, reader, provide, monkeypatch):
    monkeypatch.setattr(process, "default", {})
    monkeypatch.setattr(process, "chosen", None)
    create_instruments(meter_provider=provide(reader))
    assert metrics_of(reader) == []

    ManagedCredentials.set_default(credentials)

    assert values_of(reader, "app/key")["fetches"] == 1


def test_exporter_for_prometheus_gives_the_names_and_labels_of_the_collector(credentials, provide):
    exporter = pytest.importorskip("opentelemetry.exporter.prometheus", reason="needs the exporter: nox -s prometheus")
    prometheus_client = pytest.importorskip("prometheus_client")

    def samples(text):
        own = "otel_scope_"  # labels that the exporter adds
        return {(sample.name, tuple(sorted(label for label in sample.labels if not label.startswith(own))))
                for family in parse(text) for sample in family.samples if sample.name.startswith("managed_credentials")}

    reader = exporter.PrometheusMetricReader()
    create_instruments(credentials, provide(reader))
    exported = samples(prometheus_client.generate_latest().decode("utf-8"))

    assert exported == samples(exposition(credentials))
