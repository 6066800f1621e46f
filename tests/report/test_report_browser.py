"""The report in a real browser: opened from a file, it runs nothing, asks nothing, and fits.

Needs Debian's Chromium at /usr/bin/chromium (or WHYFIRST_CHROMIUM) and playwright; skipped with the
reason where either is absent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_report_html import HOSTILE, hostile

from whyfirst.report.html import render_report
from whyfirst.report.schema import Results

CHROMIUM = Path(os.environ.get("WHYFIRST_CHROMIUM", "/usr/bin/chromium"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One headless Chromium for the module."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}; set WHYFIRST_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield found
        found.close()


class Visit:
    """A page opened from a file, with everything it said, asked for or popped up."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, dark: bool = False) -> None:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self.page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.uri = path.as_uri()
        self.page.goto(self.uri)

    def assert_quiet(self) -> None:
        assert self.said == []
        assert [url for url in self.asked if url not in (self.uri, "data:,")] == []


def test_it_opens_without_errors_requests_or_dialogs(
    browser: Any, results: Results, tmp_path: Path
) -> None:
    visit = Visit(browser, render_report(results, tmp_path))
    assert "Teaching the reasons first" in visit.page.locator("h1").inner_text()
    assert visit.page.locator("svg.figure").count() > 30
    visit.assert_quiet()


def test_the_style_sheet_is_applied_in_both_themes(
    browser: Any, results: Results, tmp_path: Path
) -> None:
    path = render_report(results, tmp_path)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert Visit(browser, path).page.evaluate(ground) == "rgb(255, 255, 255)"
    assert Visit(browser, path, dark=True).page.evaluate(ground) == "rgb(20, 23, 27)"


def test_hostile_strings_are_inert(browser: Any, data: dict[str, Any], tmp_path: Path) -> None:
    attacked = hostile(data)
    attacked["examples"][0]["responses"]["direct"]["text"] = HOSTILE + "y" * 1_000_000
    visit = Visit(browser, render_report(Results.model_validate(attacked), tmp_path))
    visit.page.locator("#items summary").first.click()
    visit.assert_quiet()
    assert visit.page.locator("img, script").count() == 0
    assert "onerror=alert(1)" in visit.page.locator("#items details").first.inner_text()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("width", [360, 768])
def test_it_fits_a_narrow_screen(
    browser: Any, results: Results, tmp_path: Path, width: int
) -> None:
    visit = Visit(browser, render_report(results, tmp_path), width)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


def test_examples_open_by_keyboard(browser: Any, results: Results, tmp_path: Path) -> None:
    page = Visit(browser, render_report(results, tmp_path)).page
    first = page.locator("#items details").first
    first.locator("summary").focus()
    page.keyboard.press("Enter")
    assert first.get_attribute("open") is not None
    assert first.locator("tr").count() == 9


def test_it_prints_on_a4(browser: Any, results: Results, tmp_path: Path) -> None:
    page = Visit(browser, render_report(results, tmp_path)).page
    pdf = page.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 less its margins, at 96 dpi
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
