"""A page in headless Chromium: what a probe script in it reports."""

import html as entities
import json
import re
import subprocess
from pathlib import Path
from typing import Any

Seen = dict[str, Any]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--virtual-time-budget=60000", "--window-size=1280,1400", "--dump-dom"),
)

# collects what a developer would see in red; runs before anything else of the page
WATCH = """<script>
window.problems = [];
addEventListener("error", (event) => problems.push(String(event.message)));
addEventListener("unhandledrejection", (event) => problems.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => problems.push("blocked " + event.blockedURI));
for (const level of ["error", "warn"]) console[level] = (...words) => problems.push(words.join(" "));
</script>"""


def visit(chromium: str, content: str, probe: str, folder: Path, *flags: str) -> Seen:
    """What the probe put into `<pre id="report">` as JSON."""
    assert "<meta charset" in content
    path = folder / "page.html"
    path.write_text(content.replace("<meta charset", f"{WATCH}<meta charset").replace("</body>", f"{probe}</body>"))
    command = [chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, path.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'<pre id="report">(.*?)</pre>', dom, re.DOTALL)
    assert found, f"the probe did not report; the page ends with {dom[-500:]!r}"
    report: Seen = json.loads(entities.unescape(found[1]))
    return report
