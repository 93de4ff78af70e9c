"""How long it takes to look at a study of many trials: `pareto`, `report`, and the report in Chromium.

    python benchmarks/pages.py --trials 2000 12000 --out benchmarks/results/pages.json

The study is a reference study whose searched trials are repeated until there are so many; its known designs stand there
once. Times of commands are of the processor. In the browser (headless, without a GPU) `drawn_ms` is when the front's
points are there, and a step is one of a drag of the front, until the next frame; without Chromium both are left out.
"""

import argparse
import json
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from made_by import made_by

from utsearch.files import write_atomic

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "studies" / "reference-birds.db"
POLICY = r'<meta http-equiv="Content-Security-Policy"[\s\S]*?>'  # forbids the fetch by which the probe reports
STEPS = 60
PROBE = """<script>
(async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms)), frame = () => new Promise(requestAnimationFrame);
  const front = document.querySelector(".plot");
  while (!front._fullLayout || !front.querySelector("path.point")) await wait(5);
  const drawn = performance.now();
  await wait(1500);
  await Plotly.relayout(front, {dragmode: "pan"});
  const ground = [...front.querySelectorAll(".nsewdrag")].at(-1), {left, top} = ground.getBoundingClientRect();
  const mouse = (kind, i) => (document.querySelector(".dragcover") || ground).dispatchEvent(new MouseEvent(kind,
    {bubbles: true, clientX: left + 300 + i, clientY: top + 200, button: 0, view: window}));
  mouse("mousedown", 0);
  await frame();
  const steps = [];
  for (let i = 1; i <= STEPS; i++) {
    const begun = performance.now();
    mouse("mousemove", 2 * i);
    await frame();
    steps.push(performance.now() - begun);
  }
  mouse("mouseup", 2 * STEPS);
  steps.sort((a, b) => a - b);
  await fetch("/told", {method: "POST", body: JSON.stringify({drawn, steps})});
})();
</script>""".replace("STEPS", str(STEPS))


def enlarge(path: Path, trials: int) -> int:
    """Repeat the searched trials of the copy of a reference study; returns how many trials it has then."""
    database = sqlite3.connect(path)
    tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
    columns = {name: [row[1] for row in database.execute(f"pragma table_info({name})")] for name in tables}
    last, number = database.execute("select max(trial_id), max(number) from trials").fetchone()
    known = "select trial_id from trial_user_attributes where key = 'baseline' and value_json != 'null'"
    searched = f"trial_id <= {last} and trial_id not in ({known} and trial_id <= {last})"
    (each,) = database.execute(f"select count(*) from trials where {searched}").fetchone()
    for i in range(1, (trials - number - 1) // each + 1):
        moved = {"trial_id": f"trial_id + {i * last}", "number": f"number + {i * (number + 1)}"}
        for table in (name for name in tables if "trial_id" in columns[name]):
            kept = [name for name in columns[table] if name != columns[table][0] or name == "trial_id"]
            shown = ", ".join(moved.get(name, name) for name in kept)
            database.execute(f"insert into {table} ({', '.join(kept)}) select {shown} from {table} where {searched}")
    database.commit()
    (total,) = database.execute("select count(*) from trials").fetchone()
    database.close()
    return int(total)


def seconds_of(*words: str) -> float:
    """Of the processor, that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "cli.py", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)


def in_browser(page: Path, chromium: str, profile: Path) -> dict[str, float]:
    """Milliseconds, as the page itself measures them."""
    content = re.sub(POLICY, "", page.read_text(), count=1).replace("</body>", f"{PROBE}</body>").encode()
    told: list[dict[str, Any]] = []
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,1400", "--remote-debugging-port=0"]
    url = f"http://127.0.0.1:{server.server_port}/"
    browser = subprocess.Popen([chromium, *flags, f"--user-data-dir={profile}", url], stderr=subprocess.DEVNULL)
    try:
        assert done.wait(120), "the page did not report"
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
    steps = told[0]["steps"]
    return {
        "drawn_ms": round(told[0]["drawn"]),
        "step_ms": round(steps[STEPS // 2]),
        "step_p95_ms": round(steps[19 * STEPS // 20]),
    }


def measure(trials: int) -> dict[str, Any]:
    """One size."""
    with tempfile.TemporaryDirectory() as name:
        folder, page = Path(name), Path(name) / "report.html"
        shutil.copy(SOURCE, folder / SOURCE.name)
        total = enlarge(folder / SOURCE.name, trials)
        where = ("--study", SOURCE.stem, "--studies", name)
        row = {"trials": total, "pareto_seconds": seconds_of("pareto", *where)}
        row["report_seconds"] = seconds_of("report", *where, "--out", str(page))
        row["report_mb"] = round(page.stat().st_size / 1e6, 1)
        if chromium := shutil.which("chromium"):
            row |= in_browser(page, chromium, folder / "profile")
        return row


def main() -> None:
    """Parse the command line, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[2000, 12000])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = []
    for trials in asked.trials:
        rows.append(measure(trials))
        print(json.dumps(rows[-1]), flush=True)
    if asked.out:
        made = made_by(("utsearch", "optuna", "sqlalchemy", "plotly"))
        write_atomic(asked.out, json.dumps({"made_by": made, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
