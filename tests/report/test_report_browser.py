"""The report in headless Chromium: every figure drawn, every point hovered, clicks copy, nothing red on the console."""

import resource
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import headless
import pytest
from headless import Seen

from utsearch.report.groups import About
from utsearch.report.report import figures, report
from utsearch.report.story import Story
from utsearch.search import Record

# draws all figures, moves the mouse to each point, clicks one of each figure
PROBE = """<script>
(async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const copied = [];
  Object.defineProperty(navigator, "clipboard", {value: {writeText: async (text) => { copied.push(text); }}});
  dispatchEvent(new Event("beforeprint"));
  await wait(3000);
  const plots = [...document.querySelectorAll(".plot")];
  const seen = {};
  const mouse = (target, kind, x, y) =>
    target.dispatchEvent(new MouseEvent(kind, {bubbles: true, clientX: x, clientY: y, button: 0, view: window}));
  for (const plot of plots) {
    plot.scrollIntoView({block: "center"});
    await wait(300);
    const drag = [...plot.querySelectorAll(".nsewdrag")];
    const facts = seen[plot.id] = {drawn: Boolean(plot._fullLayout), points: 0, silent: [], other: [], clicked: null};
    let last = "";
    plot.on("plotly_hover", ({points}) => { last = points.map((p) => JSON.stringify(p.customdata)).join(); });
    for (const trace of HOVER ? plot._fullData : []) {
      if (trace.hoverinfo === "skip" || !trace.customdata) continue;
      const heat = trace.type === "heatmap", bar = trace.type === "bar";
      const axis = (name) => plot._fullLayout[name[0] + "axis" + name.slice(1)];
      const [xa, ya] = [axis(trace.xaxis), axis(trace.yaxis)];
      const count = heat ? trace.x.length * trace.y.length : trace.x.length;
      for (let i = 0; i < count; i++) {
        const [row, column] = [Math.floor(i / trace.x.length), i % trace.x.length];
        const wanted = heat ? trace.customdata[row][column] : trace.customdata[i];
        if (!wanted) continue;
        const [px, py] = heat ? [xa.d2p(trace.x[column]), ya.d2p(trace.y[row])]
          : [xa.d2p(bar ? trace.x[i] / 2 : trace.x[i]), ya.d2p(trace.y[i])];
        if (py < 0 || py > ya._length || px < 0 || px > xa._length) continue;  // below the picture: the caption says so
        const frame = plot.getBoundingClientRect();
        const [x, y] = [frame.left + xa._offset + px, frame.top + ya._offset + py];
        const target = drag.find((each) => { const b = each.getBoundingClientRect();
          return x >= b.left && x <= b.right && y >= b.top && y <= b.bottom; });
        facts.points++;
        if (!target) { facts.silent.push(wanted); continue; }
        last = "";
        mouse(target, "mouseout", x, y);
        mouse(target, "mouseover", x, y);
        mouse(target, "mousemove", x, y);
        await wait(110);
        if (!last) facts.silent.push(wanted);
        else if (last !== JSON.stringify(wanted)) facts.other.push([wanted, last]);
        else if (!facts.clicked && plot._hoverdata) {
          const before = copied.length;
          mouse(target, "mousedown", x, y);
          mouse(document.querySelector(".dragcover") || target, "mouseup", x, y);
          await wait(400);
          facts.clicked = [wanted[1], copied[before] ?? null, document.getElementById("toast").textContent];
        }
      }
    }
  }
  const button = document.querySelector("button.copy");
  button?.click();
  await wait(20);
  const front = plots[0];
  const labels = () => front.querySelectorAll(".annotation-text").length;
  const panned = {before: labels()};
  if (PAN) {
    await Plotly.relayout(front, {dragmode: "pan"});
    const ground = [...front.querySelectorAll(".nsewdrag")].at(-1);
    const {left, top} = ground.getBoundingClientRect();
    const move = (kind, i) => mouse(document.querySelector(".dragcover") || ground, kind, left + 300 + i, top + 200);
    panned.from = front._fullLayout.xaxis2.range[0];
    move("mousedown", 0);
    for (let i = 1; i <= 100; i++) move("mousemove", i);
    panned.during = labels();
    move("mouseup", 100);
    await wait(1000);
    panned.to = front._fullLayout.xaxis2.range[0];
    panned.after = labels();
  }
  const out = {
    problems, seen, button: [button?.textContent, copied.at(-1)], panned,
    points: front.querySelectorAll(".scatterlayer path.point").length,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth, title: document.title,
    dark: getComputedStyle(document.body).backgroundColor,
  };
  const box = document.createElement("pre");
  box.id = "report";
  box.textContent = JSON.stringify(out);
  document.body.append(box);
})();
</script>"""


def visit(chromium: str, content: str, folder: Path, *flags: str, hover: bool = False, pan: bool = False) -> Seen:
    probe = PROBE.replace("HOVER", str(hover).lower()).replace("PAN", str(pan).lower())
    return headless.visit(chromium, content, probe, folder, *flags, "--virtual-time-budget=600000")


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def seen(chromium: str, story: Story, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return visit(chromium, report([story]), tmp_path_factory.mktemp("report"), hover=True)


def test_every_figure_is_drawn_without_an_error(seen: Seen, story: Story) -> None:
    assert seen["problems"] == []
    assert set(seen["seen"]) == {f"s0-{key}" for key, _ in figures(story)}
    assert len(seen["seen"]) == 8
    assert all(facts["drawn"] for facts in seen["seen"].values())
    assert seen["overflow"] <= 0


def test_every_point_can_be_hovered(seen: Seen) -> None:
    for name, facts in seen["seen"].items():
        assert facts["points"] > 1, name
        assert facts["silent"] == [], name
    front = seen["seen"]["s0-front"]
    assert front["points"] > 45
    assert len(front["other"]) <= 2, "points that lie under another one"


def test_a_click_copies_the_design_and_says_so(seen: Seen, story: Story) -> None:
    designs = {record.design for record in story.records}
    for name, facts in seen["seen"].items():
        wanted, copied, said = facts["clicked"]
        assert wanted == copied, name
        assert said == f"copied: {wanted}"
    assert seen["seen"]["s0-front"]["clicked"][1] in designs
    assert seen["button"][0] == seen["button"][1] in designs


def test_two_studies_in_the_dark(chromium: str, story: Story, tmp_path: Path) -> None:
    seen = visit(chromium, report([story, story]), tmp_path, "--blink-settings=preferredColorScheme=0")
    assert seen["problems"] == []
    assert len(seen["seen"]) == 16
    assert seen["overflow"] <= 0
    assert seen["dark"] == "rgb(20, 23, 28)"


def test_hostile_names_run_nothing(chromium: str, record: Callable[..., Record], about: About, tmp_path: Path) -> None:
    hostile = '</script><img src=x onerror="document.title=1"><script>document.title=2</script>'
    records = [
        record(0, baseline=hostile, design=hostile, n_params=0),
        record(1, design=hostile, top1=0.9, reason=hostile),
        record(2, design=hostile, status="stopped", top1=0.75, epoch=3, reason=hostile),
    ]
    words = replace(about, study=hostile, dataset=hostile, settings={hostile: {"a": hostile}})
    sessions = [{"host": hostile, "command": hostile, "started": hostile}]
    story = Story(words, records, importance={hostile: {hostile: 1.0}}, sessions=sessions)
    seen = visit(chromium, report([story]), tmp_path)
    assert seen["problems"] == []
    assert seen["title"].startswith("</script><img")
    assert seen["points"] == 3


def test_two_thousand_trials_fit_and_pan(
    chromium: str, many: Callable[[int], Sequence[Record]], about: About, tmp_path: Path
) -> None:
    content = report([Story(about, many(1990), depth=6)])
    assert len(content.encode()) <= 6_000_000
    began = processor_seconds()
    seen = visit(chromium, content, tmp_path, pan=True)
    assert seen["problems"] == []
    assert seen["points"] > 1500
    assert processor_seconds() - began < 60, "of the processor, which a busy machine does not lengthen"
    panned = seen["panned"]
    assert panned["to"] < panned["from"]
    assert panned["before"] == panned["after"] > 10
    assert panned["during"] <= 1, "labels (but the heading) are redrawn at every step of a drag, which stutters"
    assert all(facts["drawn"] for facts in seen["seen"].values())
