"""Take the pictures of docs/images that show pages: the front of reference-birds, each reference's confirmed front.

    python tools/make_pictures.py

Needs Chromium. Pages are written by the command line, as a reader would see them.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES, STUDIES = ROOT / "docs" / "images", ROOT / "studies"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=15000")
CONFIRMED = "Confirmed over seeds"
# leaves the section under a heading alone on the page, whose figures are drawn when they come into sight
ONLY = """<script>
addEventListener("load", () => {
  const heading = [...document.querySelectorAll("h2")].find((each) => each.textContent.trim() === "HEADING");
  for (let part = heading.closest("section"); part !== document.body; part = part.parentElement)
    for (const other of part.parentElement.children)
      if (other !== part && !["SCRIPT", "STYLE"].includes(other.tagName)) other.style.display = "none";
});
</script>"""


def main() -> None:
    """Write every picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("error: no Chromium on the path")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        cli("pareto", "--study", "reference-birds", "--out", str(page))
        take(chromium, page, IMAGES / "front.png", 1200, 937)
        for path in sorted(STUDIES.glob("reference-*.db")):
            cli("report", "--study", path.stem, "--out", str(page))
            text = page.read_text(encoding="utf-8")
            page.write_text(text.replace("</body>", ONLY.replace("HEADING", CONFIRMED) + "</body>"), encoding="utf-8")
            take(chromium, page, IMAGES / f"{path.stem}.png", 1000, 610)


def cli(*words: str) -> None:
    """Run a command of utsearch."""
    subprocess.run([sys.executable, ROOT / "cli.py", *words], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def take(chromium: str, page: Path, out: Path, width: int, height: int) -> None:
    """A picture of a page's first screen."""
    size, profile = f"--window-size={width},{height}", f"--user-data-dir={page.parent / 'profile'}"
    command = [chromium, *FLAGS, size, profile, f"--screenshot={out}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    print(f"wrote {out.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
