"""Draw ``docs/observability/dashboard.png``: the panels of the dashboard, with what a Prometheus answers to their queries.

It stands in for a screenshot of Grafana. ``nox -s prometheus`` runs it.
"""

import re
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

from .history import History  # noqa: E402
from .prometheus import DASHBOARD, running, with_all_selected  # noqa: E402

COLUMNS = 24  # of a dashboard of Grafana
UNITS = {"s": ("minutes", 60), "none": ("", 1)}


def draw_panel(axes, panel, prometheus):
    title, divisor = UNITS[panel["fieldConfig"]["defaults"]["unit"]]
    series = [(re.sub(r"{{(\w+)}}", lambda label: found["metric"][label.group(1)], target["legendFormat"]),
               {moment: float(value) / divisor for moment, value in found["values"]})
              for target in panel["targets"] for found in prometheus.query(with_all_selected(target["expr"]))]
    moments = sorted(set().union(*(values for _, values in series)))
    times = [(moment - moments[0]) / 3600 for moment in moments]
    if panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal":
        axes.stackplot(times, *([values.get(moment, 0) for moment in moments] for _, values in series),
                       labels=[label for label, _ in series], alpha=0.6)
    else:
        for label, values in series:
            axes.plot(times, [values.get(moment) for moment in moments], label=label, linewidth=1)
    axes.set_title(panel["title"], fontsize=11, fontweight="bold", loc="left")
    axes.set_ylabel(title)
    axes.set_ylim(bottom=0)
    axes.set_xlim(times[0], times[-1])
    axes.xaxis.set_major_formatter("{x:.0f} h")
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.legend(loc="upper left", bbox_to_anchor=(-0.04, -0.08), ncol=3, fontsize=8, frameon=False, handlelength=1,
                columnspacing=1)


def main(directory):
    panels = DASHBOARD["panels"]
    rows = 1 + max(panel["gridPos"]["y"] // panel["gridPos"]["h"] for panel in panels)
    figure, grid = pyplot.subplots(rows, COLUMNS // panels[0]["gridPos"]["w"], figsize=(10, 2.9 * rows))
    with running(History()) as prometheus:
        for axes, panel in zip(grid.flat, panels):
            draw_panel(axes, panel, prometheus)
    figure.tight_layout()
    figure.savefig(directory + "/dashboard.png", dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
