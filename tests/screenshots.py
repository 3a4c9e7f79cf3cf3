"""Take the pictures of the README: ``make screenshots``. Starts a sample installation of its own.

Everything on the pictures is drawn or invented. The PNG files are reduced to few colours, so that the
repository stays small; one that is too large all the same ends the run with a sentence.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
IMAGES = REPOSITORY / "docs" / "images"
SIZE: Any = {"width": 1440, "height": 900}
COLOURS = 128
LARGEST = 150_000  # Bytes of one picture.


def main() -> None:
    """Take every picture. Ends with 1 and a sentence when one cannot be taken."""
    sys.path.insert(0, str(REPOSITORY))
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    with tempfile.TemporaryDirectory(prefix="holdfast-pictures-") as folder:
        # Away from an installation that may run here: its people and cases belong on no picture.
        os.environ["HOLDFAST_VAR"] = folder
        import django

        django.setup()
        from config.demo.browser import DemoFailed
        from config.demo.stack import installation

        try:
            with installation(Path(folder) / "up.log") as place:
                _take_all(place)
        except DemoFailed as failed:
            sys.exit(str(failed))


def _take_all(place: Any) -> None:
    from playwright.sync_api import sync_playwright

    from tests.machine import chromium

    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**chromium())
        for role, pictures in PICTURES.items():
            context = browser.new_context(
                base_url=place.address,
                viewport=SIZE,
                color_scheme="light",
                locale="en-GB",
                reduced_motion="reduce",
                bypass_csp=True,  # For the one style rule below, which frees the place of the scroll bar.
            )
            page = context.new_page()
            _sign_in(page, place.person(role))
            for name, reach in pictures.items():
                page.emulate_media(color_scheme="dark" if name.endswith("-dark") else "light")
                reach(page)
                page.wait_for_load_state("networkidle")
                _keep(
                    page.screenshot(style="html { scrollbar-gutter: auto }"), IMAGES / f"{name}.png"
                )
            context.close()
        browser.close()


def _sign_in(page: Any, person: dict[str, str]) -> None:
    from config.sample.people import code_now

    page.goto("/sign-in/")
    page.get_by_label("E-mail").fill(person["email"])
    page.get_by_label("Password").fill(person["password"])
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Code").fill(code_now(person["totp_secret"]))
    page.keyboard.press("Enter")
    page.wait_for_selector("nav")


def _keep(png: bytes, path: Path) -> None:
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST:
        sys.exit(f"{path} has {size:,} bytes, more than {LARGEST:,}; use fewer colours.")
    print(f"{path.relative_to(REPOSITORY)}  {size:,} bytes", flush=True)


# ── Where each picture is taken ───────────────────────────────────────────────────────────────
def _home(page: Any) -> None:
    page.goto("/")


def _queue(page: Any) -> None:
    page.goto("/queues/")
    page.locator("#queue-figures tbody tr", has=page.locator("button:enabled")).first.locator(
        "a.row-link"
    ).click()


def _case(page: Any) -> None:
    """Start the next case and wait for the covered pictures, which a worker makes when it is opened."""
    if "/cases/" not in page.url:
        page.get_by_role("button", name="Start next case").click()
        page.wait_for_url("**/cases/*/")
    for _ in range(60):
        if page.locator(".evidence__preview").count():
            card = page.locator("[data-evidence]:has(.evidence__preview)").first.get_attribute("id")
            page.locator(f"[data-evidence-to={card}]").click()
            page.locator("h1").click()  # The focus belongs on no picture.
            return
        page.wait_for_timeout(500)
        page.reload()
    sys.exit("no preview was made for the case on the picture")


def _referral(page: Any) -> None:
    page.goto("/referrals/")
    page.locator("#referral-table tr", has_text="Sealed").first.locator("a.row-link").click()


def _audit(page: Any) -> None:
    page.goto("/audit/")


PICTURES: dict[str, dict[str, Callable[[Any], None]]] = {
    "reviewer": {"queue": _queue, "case": _case, "case-dark": _case, "home": _home},
    "legal": {"referral": _referral},
    "auditor": {"audit": _audit},
}

if __name__ == "__main__":
    main()
