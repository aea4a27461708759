"""A real Chromium, or a reason why there is none, before anything of Playwright starts."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def a_browser(*options: str) -> Iterator[Browser]:
    """A running Chromium; a skip that names what to install where there is none."""
    named = [os.environ.get("CHROMIUM"), *map(shutil.which, PROGRAMS)]
    program = next(filter(None, named), None)
    if program is None:
        pytest.skip("there is no Chromium: install the package chromium, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", *options]
        )
        yield opened
        opened.close()
