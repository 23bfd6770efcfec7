"""A real browser, where there is one, to open pages in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

AS_ROOT = ["--no-sandbox"] if os.geteuid() == 0 else []
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SAID = re.compile(r'CONSOLE[:(]\d+\)?\] "(.*)", source')


def found() -> str:
    """The browser's program; the test is skipped where there is none."""
    browser = next((program for name in _NAMES if (program := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser ({', '.join(_NAMES)}): apt-get install chromium")
    return browser


def console_of(page: Path, profile: Path) -> list[str]:
    """What opening a page writes to the browser's console; the test is skipped where no browser is found."""
    browser = found()
    quiet = ["--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    command = [
        browser,
        *quiet,
        *AS_ROOT,
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "</html>" in done.stdout
    return _SAID.findall(done.stderr)
