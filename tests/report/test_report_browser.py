"""The report in a real browser: opened from a file, it asks for nothing, is inert, and fits.

Needs Debian's Chromium at /usr/bin/chromium (or WHYFIRST_CHROMIUM) and playwright; skipped with the
reason where either is absent.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_synthetic import synthetic_items
from test_report_html import HOSTILE, hostile

from whyfirst.report.compare import render_comparison
from whyfirst.report.html import render_report
from whyfirst.report.items import write_items
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

    def __init__(self, browser: Any, path: Path, width: int = 1280, dark: bool = False,
                 mark: str = "") -> None:  # fmt: skip
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(120_000)  # a busy machine is slow, not wrong
        self.page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.uri = path.as_uri()
        self.page.goto(f"{self.uri}{mark}")

    def assert_quiet(self) -> None:
        assert self.said == []
        asked = [url.partition("#")[0] for url in self.asked]
        assert [url for url in asked if url not in (self.uri, "data:,")] == []


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


def browsable(data: dict[str, Any], out: Path, count: int = 90, text: str = "") -> Path:
    """A report of the made-up results with made-up items."""
    write_items(synthetic_items(data, count, text), out / "report" / "results.json")
    return render_report(Results.model_validate(data), out)


def counted(page: Any) -> str:
    return str(page.locator("#browser-count").inner_text())


def test_items_are_filtered_by_every_control(
    browser: Any, data: dict[str, Any], tmp_path: Path
) -> None:
    visit = Visit(browser, browsable(data, tmp_path))
    page = visit.page
    assert counted(page) == "90 items"
    assert page.locator("#browser-list details").count() == 25
    page.get_by_role("button", name="explain_first good, direct bad").click()
    assert counted(page) == "30 of 90 items"
    for tally in page.locator("#browser-list .tally").all_inner_texts():
        assert re.search(r"explain_first ✓ \w+[^·]* · direct ✕ \w+", tally)
    page.locator("#f-framing").select_option(label="authority")
    assert counted(page) == "10 of 90 items"
    assert "authority" in page.locator("#browser-list .tags").first.inner_text()
    page.get_by_role("button", name="Clear filters").click()
    assert counted(page) == "90 items"
    page.get_by_label("Search prompts and answers").fill("17-TH VELP")
    page.locator("#browser-count", has_text="1 of 90 items").wait_for()
    assert page.locator("#browser-list details").count() == 1
    page.get_by_label("Search prompts and answers").fill("nothing has this")
    page.get_by_text("No item fits").wait_for()
    assert page.locator("#browser-list details").count() == 0
    visit.assert_quiet()


def test_an_item_is_linked_opened_and_turned_to_by_keyboard(
    browser: Any, data: dict[str, Any], tmp_path: Path
) -> None:
    path = browsable(data, tmp_path)
    visit = Visit(browser, path, mark="#item=resistance%2Fvelp80%2Fbargain")
    page = visit.page
    opened = page.locator("#browser-list details[open]")
    assert opened.count() == 1
    assert "80-th velp" in opened.inner_text()
    assert opened.locator(".answer").count() == 9
    assert opened.locator("a").get_attribute("href") == "#item=resistance%2Fvelp80%2Fbargain"
    page.keyboard.press("Enter")
    assert page.locator("#browser-list details[open]").count() == 0
    page.get_by_role("button", name="Previous").focus()
    page.keyboard.press("Space")
    assert page.locator("#browser-page").inner_text() == "page 3 of 4"
    visit.assert_quiet()


def test_offensive_text_waits_until_asked_for(
    browser: Any, data: dict[str, Any], tmp_path: Path
) -> None:
    page = Visit(browser, browsable(data, tmp_path)).page
    tenth = page.locator("#browser-list details").nth(9)
    assert "hidden" in tenth.locator(".what").inner_text()
    tenth.locator("summary").click()
    assert tenth.locator(".answer").count() == 0
    tenth.get_by_role("button", name="Show the text").click()
    assert tenth.locator(".answer").count() == 9
    page.get_by_label("show offensive text").check()
    assert "velp" in page.locator("#browser-list .what").nth(9).inner_text()


@pytest.mark.parametrize("width", [360, 1280])
def test_hostile_items_are_inert(
    browser: Any, data: dict[str, Any], tmp_path: Path, width: int
) -> None:
    visit = Visit(browser, browsable(data, tmp_path, 30, HOSTILE + "<!--" + "y" * 5_000), width)
    visit.page.locator("#browser-list summary").first.click()
    assert "onerror=alert(1)" in visit.page.locator("#browser-list .answer").first.inner_text()
    assert visit.page.locator("img").count() == 0
    assert visit.page.locator("script").count() == 2
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    visit.assert_quiet()


def test_a_page_with_items_prints_without_controls_and_fits(
    browser: Any, data: dict[str, Any], tmp_path: Path
) -> None:
    page = Visit(browser, browsable(data, tmp_path)).page
    page.locator("#browser-list summary").first.click()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1000})
    assert not page.locator("#browser-controls").is_visible()
    assert page.locator("#browser-list details").first.is_visible()
    assert not page.locator("#browser-list details").nth(1).is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    # A figure taller than a page would be cut whatever the style sheet says.
    tallest = "Math.max(...[...document.querySelectorAll('figure')].map(f => f.offsetHeight))"
    assert page.evaluate(tallest) < 1000


def test_two_studies_side_by_side_fit_a_phone(
    browser: Any, data: dict[str, Any], tmp_path: Path
) -> None:
    results = Results.model_validate(data)
    visit = Visit(browser, render_comparison(results, results, tmp_path, "other"), 360)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    visit.assert_quiet()


@pytest.mark.slow
def test_twenty_thousand_items_do_not_stall(
    browser: Any, data: dict[str, Any], tmp_path: Path
) -> None:
    """The list holds one page whatever the number of items; a search answers and stays right."""
    page = Visit(browser, browsable(data, tmp_path, 20_000)).page
    assert counted(page) == "20,000 items"
    assert page.locator("#browser-list details").count() == 25
    page.get_by_label("Search prompts and answers").fill("19999-th")
    page.locator("#browser-count", has_text="1 of 20,000 items").wait_for()
    assert page.locator("#browser-list details").count() == 1


def test_refusing_a_safe_prompt_is_bad_and_named(
    browser: Any, data: dict[str, Any], tmp_path: Path
) -> None:
    """Colours, filters and presets follow the metric: there a refusal was a green pass."""
    data["benchmarks"]["resistance"] |= {
        "higher_is_better": False, "good": "fail", "happened": ["refused", "answered"],
    }  # fmt: skip
    results = Results.model_validate(data)
    write_items(synthetic_items(data), tmp_path / "report" / "results.json")
    page = Visit(browser, render_report(results, tmp_path)).page
    page.locator("#f-metric").select_option("0")
    words = page.locator("#f-verdict-one option").all_inner_texts()
    assert words == ["any outcome", "good (answered)", "bad (refused)", "is unscored"]
    page.locator("#f-verdict-one").select_option("bad")
    first = page.locator("#browser-list .verdict").first
    assert first.inner_text().startswith("✕ refused")
    assert first.get_attribute("class") == "verdict bad"


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_names_and_endless_words_break_neither_page_nor_script(
    browser: Any, data: dict[str, Any], tmp_path: Path, width: int
) -> None:
    """One C1 character in a metric's name killed the browser; a long word overflowed the page."""
    name = "x\x9b\u202e" + '"' + "</script>" + "w" * 3000
    data = json.loads(json.dumps(data).replace('"why"', json.dumps(name)))
    data["benchmarks"][name]["title"] = "W" * 3000
    data["benchmarks"][name]["happened"] = ["r" * 3000, "\x9b/"]
    data["study"] |= {"title": "T" * 3000, "description": "D" * 3000, "ran": "R" * 3000}
    data["notes"] = ["N" * 3000]
    data["arms"]["direct"]["description"] = "A" * 3000
    for contrast in data["contrasts"]:
        contrast["title"] = "C" * 3000
    data["command"] = "k" * 3000
    results = Results.model_validate(data)
    write_items(synthetic_items(data, text="Y" * 3000), tmp_path / "report" / "results.json")
    visit = Visit(browser, render_report(results, tmp_path), width=width)
    visit.assert_quiet()
    assert visit.page.locator("#browser-list details").count() == 25
    visit.page.locator("#browser-list details summary").first.click()
    width_of = "document.documentElement.scrollWidth"
    assert visit.page.evaluate(width_of) <= width
