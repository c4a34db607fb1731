"""Take the README's picture of the documentation's front page. `make pictures` does.

    python docs/front_page.py

It needs chromium. The site is built into build/site and opened from there, without a network.
"""
# ruff: noqa: INP001 - a script of this repository

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"
PICTURE = ROOT / "docs" / "images" / "site.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def main() -> None:
    """Build the site, and take the picture."""
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        sys.exit(f"no browser is here (Debian: apt install chromium): looked for {', '.join(BROWSERS)}")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(SITE)]
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - this very Python
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(color_scheme="light", viewport={"width": 1280, "height": 900}, offline=True)
        page.goto((SITE / "index.html").as_uri())
        page.locator("article img").evaluate("image => image.decode()")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
