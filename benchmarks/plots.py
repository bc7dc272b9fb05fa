"""Plots for the docs: small files, which are the same for the same numbers."""

import contextlib
import os
from typing import Any, Iterator, Sequence

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "plots"  # otherwise ids are random
import matplotlib.pyplot as pyplot  # noqa: E402


@contextlib.contextmanager
def figure(directory: str, name: str, title: str, rows: int = 1) -> Iterator[Sequence[Any]]:
    """Yield the axes of a plot, one below the other; then write it as PNG and SVG.

    Args:
        directory: the directory of the files.
        name: the name of the files, without an ending.
        title: the title of the plot.
        rows: how many axes there are.
    """
    drawn, axes = pyplot.subplots(rows, 1, figsize=(8, 2.7 * rows), squeeze=False, sharex=True)
    drawn.suptitle(title)
    try:
        yield [row[0] for row in axes]
        drawn.tight_layout()
        os.makedirs(directory, exist_ok=True)
        for kind in ("png", "svg"):
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            drawn.savefig(os.path.join(directory, name + "." + kind), dpi=100, metadata=metadata)
    finally:
        pyplot.close(drawn)
