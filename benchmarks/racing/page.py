"""Hypervolume over time as a page."""

from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go

from racing.trace import Steps

COLOURS = ("#4269d0", "#9498a0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5")


def page(lanes: Mapping[str, Mapping[int, Steps]], path: Path) -> None:
    """One line for each lane and seed: steps of hypervolume over seconds, on a logarithmic axis of time."""
    figure = go.Figure()
    for colour, (name, runs) in zip(COLOURS, lanes.items(), strict=False):
        for number, grown in enumerate(runs.values()):
            figure.add_scatter(
                x=grown.seconds,
                y=grown.values,
                name=name,
                legendgroup=name,
                showlegend=number == 0,
                mode="lines+markers",
                line={"shape": "hv", "color": colour, "width": 3 if name in ("plain", "utsearch") else 1.5},
                marker={"size": 5},
            )
    figure.update_layout(
        template="plotly_white",
        title="Hypervolume of the designs trained to the end, over seconds of one thread",
        xaxis={"title": "seconds, everything but reading the data counted", "type": "log"},
        yaxis={"title": "hypervolume, share of the box"},
    )
    figure.write_html(path, include_plotlyjs="cdn")
