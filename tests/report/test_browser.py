"""The page in headless Chromium: drawn, hovered, without an error on the console, also narrow and in the dark."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import headless
import pytest
from headless import Seen

from utsearch.report.frame import ranges
from utsearch.report.groups import About
from utsearch.report.page import page
from utsearch.report.traces import kinds
from utsearch.search import Record

# waits for the picture, moves the mouse to every point and reads the label that appears
PROBE = """<script>
(async () => {
  const plot = document.getElementById("front");
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  await wait(1000);
  const hovers = [];
  for (const trace of HOVER ? plot.querySelectorAll(".scatterlayer .trace") : []) {
    const numbers = (trace.__data__[0].trace.customdata || []).map((data) => data[0]);
    for (const [i, mark] of [...trace.querySelectorAll("path.point")].entries()) {
      const {left, top, width, height} = mark.getBoundingClientRect();
      const [x, y] = [left + width / 2, top + height / 2];
      const target = document.elementFromPoint(x, y);
      for (const kind of ["mouseover", "mousemove"])
        target.dispatchEvent(new MouseEvent(kind, {bubbles: true, clientX: x, clientY: y, view: window}));
      await wait(120);
      const label = plot.querySelector(".hoverlayer .hovertext");
      hovers.push([numbers[i], label ? label.textContent : ""]);
    }
  }
  const boxes = (query) => [...plot.querySelectorAll(query)].map((each) => {
    const {left, top, right, bottom} = each.getBoundingClientRect();
    return [left, top, right, bottom];
  });
  const report = {
    problems, hovers, title: document.title,
    points: plot.querySelectorAll(".scatterlayer path.point").length,
    steps: plot.querySelectorAll(".scatterlayer .js-line").length,
    plot: boxes(".main-svg")[0], area: boxes(".bglayer")[0],
    labels: boxes(".annotation-text"), legend: boxes(".legend")[0],
    xticks: [...plot.querySelectorAll(".x2tick text")].map((tick) => tick.textContent),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    ink: getComputedStyle(plot.querySelector(".annotation-text")).fill,
    paper: getComputedStyle(document.body).backgroundColor,
  };
  const box = document.createElement("pre");
  box.id = "report";
  box.textContent = JSON.stringify(report);
  document.body.append(box);
})();
</script>"""


def visit(chromium: str, content: str, folder: Path, *flags: str, width: int | None = None) -> Seen:
    """What the probe saw; it hovers on the wide page only. A narrow page is narrowed: a window has a least width."""
    probe = PROBE.replace("HOVER", "false" if width else "true")
    if width:
        content = content.replace("<main>", f'<main style="width: {width}px; margin: 0">')
    return headless.visit(chromium, content, probe, folder, *flags)


@pytest.fixture(scope="module")
def seen(chromium: str, study: Sequence[Record], about: About, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return visit(chromium, page(study, about), tmp_path_factory.mktemp("browser"))


def test_the_picture_is_drawn_without_an_error(seen: Seen, study: Sequence[Record]) -> None:
    assert seen["problems"] == []
    assert seen["points"] == sum(map(len, kinds(study).values()))
    assert seen["steps"] == 2
    assert seen["plot"][2] - seen["plot"][0] > 1000


def test_every_visible_point_says_what_it_is(seen: Seen, study: Sequence[Record]) -> None:
    labels = dict(seen["hovers"])
    assert len(labels) == seen["points"]
    low = ranges(study).low
    visible = {record.number for record in study if record.number in labels and (record.top1 or 0) >= low}
    assert len(visible) > 45
    assert {number for number in visible if not labels[number].startswith(f"#{number} ")} == set()
    assert all("% val top-1" in label for label in labels.values())


def test_ticks_are_few_and_round(seen: Seen) -> None:
    assert {"1k", "10k", "100k"} <= set(seen["xticks"])
    assert len(seen["xticks"]) <= 12


def overlapping(boxes: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pairs of rectangles that share an area."""

    def apart(one: Sequence[float], other: Sequence[float]) -> bool:
        return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]

    return [(i, j) for i, one in enumerate(boxes) for j, other in enumerate(boxes[:i]) if not apart(one, other)]


def test_labels_do_not_overlap_as_drawn(seen: Seen) -> None:
    assert len(seen["labels"]) >= 15
    assert overlapping(seen["labels"]) == []


@pytest.mark.parametrize("width", [320, 390])
def test_a_narrow_page_fits_and_stays_legible(
    chromium: str, study: Sequence[Record], about: About, tmp_path: Path, width: int
) -> None:
    seen = visit(chromium, page(study, about), tmp_path, width=width)
    assert seen["problems"] == []
    assert seen["overflow"] <= 0
    assert seen["plot"][2] - seen["plot"][0] <= width
    assert overlapping(seen["labels"]) == []
    assert seen["legend"][1] >= seen["plot"][1]
    assert seen["legend"][3] <= seen["area"][1] + 1


def test_the_dark_page_has_light_words(chromium: str, study: Sequence[Record], about: About, tmp_path: Path) -> None:
    seen = visit(chromium, page(study, about), tmp_path, "--blink-settings=preferredColorScheme=0", width=720)
    assert seen["paper"] == "rgb(20, 23, 28)"
    assert seen["ink"] == "rgb(233, 236, 241)"
    assert overlapping(seen["labels"]) == []


def test_hostile_names_run_nothing(chromium: str, record: Callable[..., Record], about: About, tmp_path: Path) -> None:
    hostile = '<img src=x onerror="document.title=1"><script>alert(1)</script></script>'
    records = [
        record(0, baseline=hostile, design=hostile, n_params=0),
        record(1, design=hostile, top1=0.9),
        record(2, design=hostile, status="stopped", top1=0.75, epoch=3),
    ]
    content = page(records, replace(about, study=hostile, dataset=hostile, backbone=hostile, space=hostile))
    seen = visit(chromium, content, tmp_path)
    assert seen["problems"] == []
    assert seen["points"] == 3
    assert seen["title"].startswith("<img")
    assert "<script>alert(1)</script>" in dict(seen["hovers"])[1]
