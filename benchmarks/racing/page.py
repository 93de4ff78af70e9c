"""Hypervolume over time as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go

from racing.trace import Steps, median

COLOURS = (
    *("#4269d0", "#9498a0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951"),
    *("#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#000000"),
)
FEW = 3  # seeds whose lines can be told apart


def page(lanes: Mapping[str, Mapping[int, Steps]], path: Path) -> None:
    """One line for each lane and seed, or of many seeds the median; hypervolume over seconds, on a logarithmic axis."""
    figure = go.Figure()
    for colour, (name, runs) in zip(COLOURS, lanes.items(), strict=False):
        many = len(runs) > FEW
        if many:
            runs = {0: _middle(list(runs.values()))}
        for number, grown in enumerate(runs.values()):
            figure.add_scatter(
                x=grown.seconds,
                y=grown.values,
                name=name,
                legendgroup=name,
                showlegend=number == 0,
                mode="lines" if many else "lines+markers",
                line={"shape": "hv", "color": colour, "width": 3 if name in ("plain", "utsearch") else 1.5},
                marker={"size": 5},
            )
    figure.update_layout(
        template="plotly_white",
        height=640,
        title="Hypervolume of the designs trained to the end, over seconds of one thread",
        xaxis={"title": "seconds, everything but reading the data counted", "type": "log"},
        yaxis={"title": "hypervolume, share of the box"},
    )
    figure.write_html(path, include_plotlyjs=True)


def _middle(runs: Sequence[Steps]) -> Steps:
    """The median over seeds, whenever one of them grows; those that ended sooner stay where they were."""
    times = sorted({seconds for run in runs for seconds in run.seconds})
    return Steps(tuple(times), tuple(median([run.at(seconds) for run in runs]).value for seconds in times))
