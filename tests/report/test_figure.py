"""The figure's data are the records'."""

import json
import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import pytest

from utsearch.report.callouts import caption
from utsearch.report.figure import pareto_figure
from utsearch.report.frame import VIEWS, View, below, ranges
from utsearch.report.groups import front
from utsearch.report.labels import Anchor, Box, Offset, box
from utsearch.report.traces import kinds
from utsearch.search import Record


def drawn(records: Sequence[Record]) -> dict[int, tuple[float, float]]:
    """What the figure draws, by the trial's number."""
    traces = [trace for trace in pareto_figure(records).data if trace.mode == "markers"]
    return {data[0]: (x, y) for trace in traces for x, y, data in zip(trace.x, trace.y, trace.customdata, strict=True)}


def test_every_trial_with_a_result_is_drawn_where_it_belongs(study: Sequence[Record]) -> None:
    expected = {
        record.number: (record.n_params, 100 * record.top1)
        for record in study
        if record.status in ("finished", "stopped") and record.top1 is not None
    }
    assert drawn(study) == expected


def test_the_line_is_the_front_in_steps(study: Sequence[Record]) -> None:
    lines = {trace.xaxis: trace for trace in pareto_figure(study).data if trace.mode == "lines"}
    members = front(study)
    assert lines["x2"].line.shape == "hv"
    assert list(lines["x2"].x[1:-1]) == [record.n_params for record in members[1:]]
    assert list(lines["x2"].y[:-1]) == [100 * (record.top1 or 0) for record in members]
    assert members[0].n_params == 0
    assert list(lines["x"].y) == [100 * (members[0].top1 or 0)] * 2


def test_zero_parameters_have_an_axis_of_their_own_left_of_the_log_axis(study: Sequence[Record]) -> None:
    layout = pareto_figure(study).layout
    assert layout.xaxis2.type == "log"
    assert layout.xaxis.ticktext == ("0",)
    assert layout.xaxis.domain[1] < layout.xaxis2.domain[0]
    zero = [trace for trace in pareto_figure(study).data if trace.xaxis == "x" and trace.mode == "markers"]
    assert [list(trace.x) for trace in zero] == [[0]]


def test_without_such_a_design_the_log_axis_takes_the_whole_width(record: Callable[..., Record]) -> None:
    figure = pareto_figure([record(1), record(2, top1=0.8)])
    assert figure.layout.xaxis2.domain == (0, 1)
    assert not figure.layout.xaxis.visible


def test_hover_says_design_size_accuracy_time_and_rung(record: Callable[..., Record]) -> None:
    made = record(7, design="mha:lora(4)@all", n_params=12_345, top1=0.8, baseline=None, seconds=12)
    (trace,) = [trace for trace in pareto_figure([made]).data if trace.mode == "markers"]
    for words in (
        "#7",
        "new design, on the front",
        "mha:lora(4)@all",
        "12,345",
        "80.0 ± 0.9 %",
        "epoch 12",
        "rung 4",
        "12 s",
    ):
        assert words in trace.hovertext[0]


def test_kinds_tell_catalogue_new_and_stopped_apart(study: Sequence[Record]) -> None:
    groups = kinds(study)
    assert {record.baseline for record in groups["known"]} == {record.baseline for record in study} - {None}
    assert {record.status for record in groups["stopped"]} == {"stopped"}
    assert all(record in front(study) for record in groups["best"])


def test_one_diverged_trial_does_not_press_the_rest_together(
    study: Sequence[Record], record: Callable[..., Record]
) -> None:
    limits = ranges([*study, record(99, top1=0.02)])
    assert limits.low == pytest.approx(ranges(study).low, abs=0.02)
    assert below([*study, record(99, top1=0.02)], limits) > 0


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: str(view.min_width))
def test_labels_name_the_catalogue_and_the_new_front_without_overlap(study: Sequence[Record], view: View) -> None:
    records = {caption(record): record for group in ("known", "best") for record in kinds(study)[group]}
    boxes = {}
    heading, *annotations = pareto_figure(study, view).layout.annotations
    assert heading.text == "validation top-1 (%)"
    for annotation in annotations:
        text = annotation.text.removeprefix("<b>").removesuffix("</b>")
        boxes[text] = label_box(annotation, records[text], view, study)
    assert len(boxes) >= 0.9 * len(records)
    assert not any(one.overlaps(other) for one, other in combinations(boxes.values(), 2))


def label_box(annotation: Any, record: Record, view: View, records: Sequence[Record]) -> Box:
    """The label's rectangle in pixels, from what Plotly is told."""
    expected = math.log10(record.n_params) if record.n_params else 0
    assert annotation.x == expected
    dx, dy = (annotation.ax, annotation.ay) if annotation.showarrow else (annotation.xshift, -annotation.yshift)
    x, y = view.pixel(record, ranges(records))
    return box(Anchor(x, y, caption(record)), Offset(dx, dy, near=not annotation.showarrow))


@pytest.mark.parametrize("n", [0, 1])
def test_tiny_studies_have_a_figure(record: Callable[..., Record], n: int) -> None:
    figure = pareto_figure([record(i) for i in range(n)])
    assert json.loads(figure.to_json())["layout"]["xaxis2"]["range"][0] < 5


def test_a_study_of_failures_only_has_a_figure(record: Callable[..., Record]) -> None:
    assert not pareto_figure([record(0, status="failed", top1=None, epoch=0)]).data
