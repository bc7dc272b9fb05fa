"""A Prometheus on loopback with a history in it, and the queries of the dashboard."""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

import requests

from tests import instance

DIRECTORY = pathlib.Path(instance.ROOT) / "docs/observability"
DASHBOARD = json.loads((DIRECTORY / "dashboard.json").read_text(encoding="utf-8"))
IS_INSTALLED = shutil.which("prometheus") is not None and shutil.which("promtool") is not None
PATIENCE = 30


def queries():
    """Return the queries of the dashboard's panels, as they stand in it."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def with_all_selected(query):
    """Return a query as Grafana sends it if all jobs and secrets are selected."""
    return re.sub(r"\$(job|secret_name)\b", ".*", query).replace("$__rate_interval", "5m")


class Prometheus:
    """A running Prometheus.

    Args:
        url: its address.
        history: what it has the samples of.
    """

    def __init__(self, url, history):
        self._url = url
        self._history = history

    def query(self, query):
        """Return the series of a query over the whole history: labels and samples of each."""
        answer = requests.get(self._url + "/api/v1/query_range", timeout=PATIENCE, params={
            "query": query, "start": self._history.began, "end": self._history.ended, "step": 60})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["result"]


@contextlib.contextmanager
def running(history):
    """Run a Prometheus with the samples of a history."""
    with tempfile.TemporaryDirectory() as directory:
        samples = pathlib.Path(directory) / "samples.txt"
        samples.write_text("".join(history.samples()), encoding="utf-8")
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", str(samples), directory + "/data"],
                       check=True, stdout=subprocess.DEVNULL)
        (pathlib.Path(directory) / "prometheus.yml").write_text("{}")
        process = subprocess.Popen(
            ["prometheus", "--config.file", directory + "/prometheus.yml", "--storage.tsdb.path", directory + "/data",
             "--storage.tsdb.retention.time", "100y", "--query.lookback-delta", "59s", "--web.listen-address", "127.0.0.1:0",
             "--log.format", "json"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True)
        try:
            yield Prometheus(_url_of(process), history)
        finally:
            process.terminate()
            process.wait(PATIENCE)
            process.stderr.close()


def _url_of(process):
    """Wait until a Prometheus answers requests; return its address, which its log says."""
    address, is_ready = None, False
    giving_up = threading.Timer(PATIENCE, process.kill)
    giving_up.start()
    try:
        for line in process.stderr:
            entry = json.loads(line)
            if not entry.get("address", ":0").endswith(":0"):  # it first says which address it was told
                address = entry["address"]
            is_ready = is_ready or "ready to receive" in entry.get("msg", "")
            if address is not None and is_ready:
                threading.Thread(target=process.stderr.read, daemon=True).start()  # so that its log never blocks it
                return "http://" + address
    finally:
        giving_up.cancel()
    raise AssertionError("Prometheus did not start")
