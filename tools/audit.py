"""Known vulnerabilities of the installed packages, by pip-audit; says so where the advisory service is out of reach.

python tools/audit.py        # exit code 1: a vulnerability is known
"""

import json
import subprocess
import sys


def verdict(out: str, err: str) -> tuple[int, str]:
    """Exit code and words for what pip-audit printed: an answer counts only for packages that the service knows."""
    try:
        found = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (err.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return 0, f"audit: NOTHING WAS CHECKED, the advisory service cannot be reached: {last[:200]}"
    checked = [package for package in found if "vulns" in package]
    if not checked:
        return 0, f"audit: NOTHING WAS CHECKED, the advisory service knows none of the {len(found)} packages"
    lines = [
        f"audit: {package['name']} {package['version']}: {vulnerability['id']}, "
        f"mended in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for package in checked
        for vulnerability in package["vulns"]
    ]
    code = int(bool(lines))
    lines.append(f"audit: {len(checked)} of {len(found)} packages checked, {len(lines)} vulnerabilities known")
    return code, "\n".join(lines)


def main() -> int:
    """Run pip-audit in this Python's environment."""
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--format", "json", "--timeout", "15"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    code, words = verdict(done.stdout, done.stderr)
    print(words, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
