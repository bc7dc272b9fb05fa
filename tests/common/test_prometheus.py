"""The metrics for Prometheus, as ``prometheus_client`` exposes and parses them."""

import pathlib
import re

import pytest
from aliyunsdkcore.request import CommonRequest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from aliyun_sdk_secretsmanager_common_plugin import (
    ConfigurationError,
    ManagedCredentials,
    ManagedCredentialsError,
    SecretStats,
    SharedStoreStats,
)
from aliyun_sdk_secretsmanager_common_plugin.metrics import COUNTERS, FLAGS
from aliyun_sdk_secretsmanager_common_plugin.prometheus import ManagedCredentialsCollector
from aliyun_sdk_secretsmanager_common_plugin.runtime import process
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET

from .fakes import Source, key

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Stats:
    """What the collector sees of a ``ManagedCredentials``: these stats."""

    def __init__(self, stats):
        self.stats = lambda: stats


def exposition(credentials=None, generate=generate_latest):
    """Return the text of a scrape."""
    registry = CollectorRegistry(auto_describe=True)
    registry.register(ManagedCredentialsCollector(credentials))
    return generate(registry).decode("utf-8")


def scrape(credentials=None, secret_name=SECRET):
    """Return the samples of a secret by name. That of the version is its label."""
    samples = [sample for family in parse(exposition(credentials)) for sample in family.samples
               if sample.labels["secret_name"] == secret_name]
    return {sample.name[len("managed_credentials_"):]: sample.labels.get("version_id", sample.value)
            for sample in samples}


@pytest.fixture
def without_default(monkeypatch):
    monkeypatch.setattr(process, "default", {})
    monkeypatch.setattr(process, "chosen", None)


class TestOnTheLocalCloud:
    @pytest.fixture
    def call(self, cloud, credentials, closing):
        """Call the business API with a client."""
        client = closing(ProxyAcsClient(SECRET, managed_credentials=credentials))
        return lambda: client.do_action_with_exception(
            CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions"))

    def test_rotation(self, cloud, credentials, call):
        call()
        before = scrape(credentials)
        first = cloud.secret(SECRET).versions[-1].version_id
        cloud.rotate(SECRET)
        call()
        after = scrape(credentials)

        assert 0 <= before.pop("age_seconds") < 60
        assert 3000 < before.pop("next_refresh_seconds") <= 3600
        assert before == {
            "fetches_total": 1, "failures_total": 0, "renewals_total": 0, "rotations_total": 0, "version_info": first}
        assert 0 <= after.pop("age_seconds") < 60
        assert 3000 < after.pop("next_refresh_seconds") <= 3600
        second = cloud.secret(SECRET).versions[-1].version_id
        assert after == {
            "fetches_total": 2, "failures_total": 0, "renewals_total": 1, "rotations_total": 1, "version_info": second}
        assert first != second

    def test_failed_reads(self, cloud, credentials, call):
        cloud.inject("secrets_manager", Fault.status(503))
        credentials.refresh(SECRET)
        samples = scrape(credentials)

        assert (samples["fetches_total"], samples["failures_total"]) == (2, 1)
        assert 0 < samples["next_refresh_seconds"] <= 2

    def test_scrape_asks_nobody_and_shows_no_key(self, cloud, credentials, call):
        call()
        asked = len(cloud.calls())
        shown = exposition(credentials)

        assert len(cloud.calls()) == asked
        access_key = credentials.get(SECRET)
        for value in (access_key.access_key_id, access_key.access_key_secret, "LTAI"):
            assert value not in shown


class TestExposition:
    @pytest.fixture
    def credentials(self):
        """Credentials with a secret that was read, one that cannot be read, and one whose name needs escapes."""
        credentials = ManagedCredentials(Settings(), Source(
            lambda asked: ValueError() if asked.name == "missing" else key("A")))
        for name in ("app/key", 'a "name"\\with\nall, ünd=}'):
            credentials.get(name)
        with pytest.raises(ManagedCredentialsError):
            credentials.get("missing")
        yield credentials
        credentials.close()

    def test_strict_parser_reads_the_same(self, credentials):
        def samples(families):
            return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families
                    for sample in family.samples if not sample.name.endswith("_seconds")}  # these change

        strict = samples(parse_openmetrics(exposition(credentials, generate_openmetrics)))

        assert strict == samples(parse(exposition(credentials)))
        assert len(strict) == 3 * 4 + 2

    def test_names_are_escaped(self, credentials):
        assert scrape(credentials, 'a "name"\\with\nall, ünd=}')["fetches_total"] == 1

    def test_name_that_has_no_utf_8_is_refused_and_does_not_spoil_the_page(self, credentials):
        with pytest.raises(ConfigurationError, match="decoded as UTF-8"):
            credentials.get(b"app/\xff".decode("utf-8", "surrogateescape"))

        assert scrape(credentials, "missing")

    def test_secret_that_could_not_be_read_has_counters_alone(self, credentials):
        assert scrape(credentials, "missing") == {
            "fetches_total": 1, "failures_total": 1, "renewals_total": 0, "rotations_total": 0}

    def test_without_a_default_instance_there_are_metrics_and_no_samples(self, without_default):
        families = list(parse(exposition()))

        assert len(families) == 15
        assert [family.samples for family in families] == [[]] * 15

    def test_default_instance_is_that_of_the_scrape(self, without_default, credentials, properties):
        registry = CollectorRegistry(auto_describe=True)
        registry.register(ManagedCredentialsCollector())

        def value():
            return registry.get_sample_value("managed_credentials_fetches_total", {"secret_name": SECRET})

        assert value() is None
        with ManagedCredentials.default() as default:
            default.get(SECRET)
            default.refresh(SECRET)
            assert value() == 2
            ManagedCredentials.set_default(credentials)
            assert value() == 1

    def test_secret_without_a_shared_store_has_no_samples_of_one(self, credentials):
        assert "\nmanaged_credentials_shared_store" not in exposition(credentials)

    def test_shared_store(self):
        shared = SharedStoreStats(hits=1, misses=2, leases=3, waits=4, announcements=5, ignored=6, is_off=True)
        stats = SecretStats("v1", 0.0, 1.0, 0, 0, 0, 0, shared_store=shared)
        samples = scrape(Stats({SECRET: stats}))

        assert {name: value for name, value in samples.items() if name.startswith("shared_store_")} == {
            "shared_store_hits_total": 1, "shared_store_misses_total": 2, "shared_store_leases_total": 3,
            "shared_store_waits_total": 4, "shared_store_announcements_total": 5, "shared_store_ignored_total": 6,
            "shared_store_off": 1}

    def test_shared_store_that_works_is_not_off(self):
        stats = SecretStats("v1", 0.0, 1.0, 0, 0, 0, 0, shared_store=SharedStoreStats())

        assert scrape(Stats({SECRET: stats}))["shared_store_off"] == 0

    def test_every_field_of_the_shared_store_is_a_metric(self):
        metrics = {name[len("shared_store_"):] for name in dict(COUNTERS, **FLAGS) if name.startswith("shared_store_")}

        assert metrics == {re.sub("^is_", "", field) for field in SharedStoreStats._fields}

    def test_page_has_every_metric(self):
        page = (ROOT / "docs/observability.rst").read_text(encoding="utf-8")
        rows = re.findall(r"^   \* - ``(managed_credentials_\w+)``\n     - (\w+)$", page, re.M)
        shown = re.findall(r"^# TYPE (\S+) (\S+)$", exposition(), re.M)

        assert rows == shown
        assert set(re.findall(r"managed_credentials_\w+(?=[\[ )])", page)) <= {name for name, _ in rows}
