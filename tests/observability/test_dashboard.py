"""The dashboard for Grafana and the alert rules for Prometheus."""

import json
import re
import subprocess

import pytest

from .history import History
from .prometheus import DASHBOARD, DIRECTORY, IS_INSTALLED, queries, running, with_all_selected

VARIABLES = DASHBOARD["templating"]["list"]
needs_prometheus = pytest.mark.skipif(not IS_INSTALLED, reason="needs prometheus and promtool: nox -s prometheus")


@pytest.fixture(scope="module")
def exported():
    """The labels of each metric of the collector that a history has a sample of."""
    labels = {}
    for line in History().samples():
        if line != "# EOF\n":
            metric, _, rest = line.partition("{")
            labels.setdefault(metric, set()).update(re.findall(r'(\w+)="', rest))
    assert len(labels) == 15
    return labels


def everything_asked():
    return queries() + [variable["definition"] for variable in VARIABLES if "definition" in variable] + re.findall(
        r"expr: (?:>-\n(?: {10,}.*\n)+|.*\n)", (DIRECTORY / "alerts.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("query", everything_asked())
def test_every_metric_and_label_is_one_that_the_collector_exports(query, exported):
    metrics = set(re.findall(r"managed_credentials_\w+", query))
    named = set(re.findall(r"(\w+)=~", query)) | {label for labels in re.findall(r"(?:by|on) \(([^)]+)\)", query)
                                                  for label in labels.split(", ")}

    assert metrics and metrics <= exported.keys()
    assert named <= set().union(*(exported[metric] for metric in metrics))


def test_every_metric_is_on_the_dashboard_but_the_details_of_the_shared_store(exported):
    shown = {metric for query in queries() for metric in re.findall(r"managed_credentials_\w+", query)}

    assert exported.keys() - shown == {
        "managed_credentials_shared_store_{}_total".format(each) for each in ("misses", "waits", "announcements")}


def test_legends_have_labels_that_the_queries_keep():
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            kept = re.match(r"\w+ by \(([^)]+)\)", target["expr"]).group(1).split(", ")
            assert re.findall(r"{{(\w+)}}", target["legendFormat"]) == kept


def test_every_field_is_one_that_grafana_knows():
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason="needs its SDK: nox -s prometheus")
    from grafana_foundation_sdk.cog import encoder, plugins

    def lost(wanted, kept):
        if isinstance(wanted, dict):
            return [key for key in wanted if key not in kept] + sum(
                (lost(wanted[key], kept[key]) for key in wanted if key in kept), [])
        if isinstance(wanted, list):
            return sum(map(lost, wanted, kept), [])
        return [] if wanted == kept else [wanted]

    plugins.register_default_plugins()
    kept = json.loads(encoder.JSONEncoder().encode(models.Dashboard.from_json(DASHBOARD)))

    assert set(lost(DASHBOARD, kept)) == {"definition"}  # of a variable: a copy of its query that Grafana shows


def test_variables_of_the_queries_are_defined():
    known = {variable["name"] for variable in VARIABLES} | {"__rate_interval"}

    assert set(re.findall(r"\$(\w+)", " ".join(everything_asked()))) - {"labels", "value"} <= known


@pytest.fixture(scope="module")
def prometheus():
    with running(History()) as prometheus:
        yield prometheus


@pytest.mark.slow
@needs_prometheus
class TestPrometheus:
    @pytest.mark.parametrize("query", queries())
    def test_query_has_results(self, prometheus, query):
        series = prometheus.query(with_all_selected(query))

        secrets = {found["metric"]["secret_name"] for found in series}
        assert secrets == ({"reports"} if "expires_in" in query else {"orders", "reports"})
        assert any(float(value) > 0 for found in series for _, value in found["values"])

    def test_rule_file_is_valid(self):
        subprocess.run(["promtool", "check", "rules", str(DIRECTORY / "alerts.yml")], check=True)

    def test_each_alert_fires_when_it_should_and_only_then(self, tmp_path):
        cases = (DIRECTORY.parent.parent / "tests/observability/alerts_test.yml").read_text(encoding="utf-8")
        (tmp_path / "alerts_test.yml").write_text(cases.replace("ALERTS", str(DIRECTORY / "alerts.yml")))
        alerts = re.findall(r"alert: (\w+)", (DIRECTORY / "alerts.yml").read_text(encoding="utf-8"))

        assert [alert for alert in alerts if "alertname: {}\n        exp_alerts".format(alert) not in cases] == []
        subprocess.run(["promtool", "test", "rules", str(tmp_path / "alerts_test.yml")], check=True)
