"""Photograph the lab's page: python docs/images/photograph.py FOLDER ADDRESS NAME=PATH[:dark|:phone]...

ADDRESS is that of a running `benchfleet serve`. The pictures of docs/serve.md show `benchfleet db demo --devices 6
--series 8 --nights 120`, and page-real*.png a run of sweeps/keras-vs-tflite.yaml. Needs Debian's Chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

DESK, PHONE = {"width": 1200, "height": 860}, {"width": 390, "height": 844}


def photograph(browser: Browser, address: str, path: str, file: Path) -> None:
    """Write a page's picture, once everything in the page is drawn."""
    where, _, look = path.partition(":")
    page = browser.new_page(
        viewport=PHONE if look == "phone" else DESK, color_scheme="dark" if look == "dark" else "light"
    )
    page.goto(address.rstrip("/") + where, wait_until="networkidle")
    page.screenshot(path=file)
    page.close()


def main(folder: str, address: str, *pictures: str) -> None:
    """Write each picture into the folder."""
    chromium = shutil.which("chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for picture in pictures:
            name, _, path = picture.partition("=")
            photograph(browser, address, path, Path(folder, name))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
