"""The HTML report as text: inert, self-contained, complete, and the same bytes every time."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_synthetic import synthetic_items

from whyfirst.config.errors import StoreError
from whyfirst.report import html
from whyfirst.report.schema import Results
from whyfirst.report.svg import arm_styles, ticks

HOSTILE = "</style></script><img src=x onerror=alert(1)>\x1b[2J\u202egnp\x00'\"&"
TEMPLATES = Path(html.__file__).with_name("templates")


class Tags(HTMLParser):
    """Collects start tags with their attributes, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(page)
    return parser.tags


def hostile(value: Any, key: str = "") -> Any:
    """Every free string of the results replaced by an attack, names kept so that links hold."""
    fixed = ("schema_version", "kind", "unit", "wants", "verdict", "benchmark", "headline", "name",
             "a", "b", "cell", "arm", "probe", "acts")  # fmt: skip
    if isinstance(value, dict):
        return {k: hostile(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v, key) for v in value]
    return HOSTILE if isinstance(value, str) and key not in fixed else value


def test_policy_comes_first_and_fits_the_style_sheet(results: Results) -> None:
    page = html.report_html(results)
    head = page.split("<head>")[1].lstrip()
    assert head.startswith('<meta http-equiv="Content-Security-Policy"')
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = b64encode(sha256(style.group(1).encode()).digest()).decode()
    policy = next(a["content"] for t, a in tags_of(page) if t == "meta") or ""
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


def test_nothing_runs_and_nothing_is_fetched(results: Results) -> None:
    for tag, attributes in tags_of(html.report_html(results)):
        assert tag not in ("script", "iframe", "object", "embed", "img", "form")
        for key, value in attributes.items():
            assert not key.startswith("on")
            assert key != "style", "inline styles are blocked by the policy"
            if key in ("href", "src", "xlink:href"):
                assert value == "data:," or (value or "").startswith("#")


def test_the_browser_is_the_one_script_and_runs_by_its_hash(data: dict[str, Any]) -> None:
    page = html.report_html(Results.model_validate(data), synthetic_items(data))
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert [attributes for attributes, _ in scripts] == [
        ' type="application/json" id="items-data"',
        "",
    ]
    digest = b64encode(sha256(scripts[1][1].encode()).digest()).decode()
    policy = next(a["content"] for t, a in tags_of(page) if t == "meta") or ""
    assert f"script-src 'sha256-{digest}';" in policy
    assert not re.search(r"innerHTML|insertAdjacent|document\.write|eval\(|fetch\(", scripts[1][1])


def test_hostile_items_stay_data(data: dict[str, Any]) -> None:
    items = synthetic_items(data, text="</script><!--<script><img src=x onerror=alert(1)>\u2028")
    page = html.report_html(Results.model_validate(data), items)
    names = [tag for tag, _ in tags_of(page)]
    assert names.count("script") == 2
    assert "img" not in names
    held = re.search(r'id="items-data">(.*?)</script>', page, re.DOTALL)
    assert held
    read = json.loads(held.group(1))
    read.pop("about")
    assert read == items


def test_hostile_strings_add_no_tag(data: dict[str, Any]) -> None:
    attacked = Results.model_validate(hostile(data))
    page = html.report_html(attacked)
    clean = {tag for tag, _ in tags_of(html.report_html(Results.model_validate(data)))}
    assert {tag for tag, _ in tags_of(page)} <= clean
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", page)
    assert "\\u202e" in page


def test_hostile_names_add_no_tag(data: dict[str, Any]) -> None:
    data["arms"][HOSTILE] = data["arms"].pop("rules_first")
    data["contrasts"] = [c for c in data["contrasts"] if c["b"] != "rules_first"]
    data["contrasts"][0]["a"] = HOSTILE
    data["curves"]["loss"][0]["arms"] = [HOSTILE]
    data["versions"][HOSTILE] = HOSTILE
    page = html.report_html(Results.model_validate(data))
    assert not {"img", "script"} & {tag for tag, _ in tags_of(page)}
    assert "\x1b" not in page


def test_a_megabyte_line_is_cut_and_said_to_be(data: dict[str, Any]) -> None:
    data["examples"][0]["responses"]["direct"]["text"] = "x" * 1_000_000
    page = html.report_html(Results.model_validate(data))
    assert len(page) < 1_500_000
    assert "998,500 more characters" in page


def test_nine_arms_with_many_seeds_stay_small(data: dict[str, Any]) -> None:
    data["fingerprints"] = {f"stage/align/explain_first/seed={n}": "0" * 24 for n in range(9000)}
    data["contrasts"][0]["per_seed"] *= 3
    assert len(html.report_html(Results.model_validate(data)).encode()) < 1_500_000


def test_the_same_results_give_the_same_bytes(data: dict[str, Any]) -> None:
    first, second = (html.report_html(Results.model_validate(data)) for _ in range(2))
    assert first == second


def test_templates_never_switch_escaping_off() -> None:
    for path in TEMPLATES.glob("*.j2"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", text), path.name


def test_every_section_is_there_and_linked(results: Results) -> None:
    page = html.report_html(results)
    anchors = re.findall(r'<a href="#(\w+)"', page)
    assert len(anchors) == 11
    for anchor in anchors:
        assert f'id="{anchor}"' in page


def test_figures_never_hold_a_nan(data: dict[str, Any]) -> None:
    for arm in data["arms"].values():
        arm["benchmarks"]["resistance"]["B+C/unseen"].update(value=None, low=None, high=None)
    page = html.report_html(Results.model_validate(data))
    assert not re.search(r'="(nan|inf|None)"', page)


def test_a_small_study_renders_without_the_absent_sections(data: dict[str, Any]) -> None:
    data.update(contrasts=[], headline="", matching=[], unscored=[], recall={}, examples=[],
                claimed=[], notes=[], curves={"loss": [], "checkpoints": [], "dose": []},
                memory_mb_peak=None)  # fmt: skip
    data["arms"] = {
        "only": {"stages": [], "description": "", "benchmarks": {
            "why": {"*/*": data["arms"]["base"]["benchmarks"]["why"]["*/*"]}}},
    }  # fmt: skip
    data["study"]["world"] = None
    page = html.report_html(Results.model_validate(data))
    assert 'id="items"' not in page
    assert 'id="framings"' not in page


def test_real_prompts_stay_closed_until_asked_for(data: dict[str, Any]) -> None:
    data["study"]["world"] = None
    data["examples"][0]["prompt"] = "a very particular prompt"
    page = html.report_html(Results.model_validate(data))
    summaries = "".join(re.findall(r"<summary>.*?</summary>", page, re.DOTALL))
    assert "a very particular prompt" in page
    assert "a very particular prompt" not in summaries


def test_a_folder_that_cannot_be_made_is_named(results: Results, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file in the way")
    with pytest.raises(StoreError, match="report"):
        html.render_report(results, tmp_path)


def test_known_arms_keep_their_colour_and_none_share_one() -> None:
    all_nine = arm_styles(["base", "direct", "explain_only", "explain_first",
                           "explain_other_first", "rules_first", "shuffled_first",
                           "neutral_first", "direct_longer"])  # fmt: skip
    assert len({style.css for style in all_nine.values()}) == 9
    assert len({style.shape for style in all_nine.values()}) == 9
    few = arm_styles(["mine", "explain_first", "yours"])
    assert few["explain_first"] == all_nine["explain_first"]
    assert len({style.css for style in few.values()}) == 3
    many = arm_styles([f"arm{i}" for i in range(20)])
    assert len({(s.css, s.shape) for s in many.values()}) == 20


def test_ticks_are_round_numbers_inside_the_range() -> None:
    assert ticks(0, 1, 4) == [0.0, 0.5, 1.0]
    assert ticks(-0.1, 0.3, 4) == [-0.1, 0.0, 0.1, 0.2, 0.3]
    assert ticks(0, 150, 4) == [0, 50, 100, 150]
    assert ticks(3, 3, 4) == [3]


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _ratio(one: str, two: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast_meets_aa_in_both_themes(theme: int) -> None:
    css = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    block = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[theme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for ground in ("bg", "panel"):
        for text in ("ink", "muted", "link", "good", "caution", "bad"):
            assert _ratio(colours[text], colours[ground]) >= 4.5, (text, ground)
        for index in range(9):
            assert _ratio(colours[f"c{index}"], colours[ground]) >= 3, (index, ground)
    for tone in ("good", "caution", "bad", "plain"):
        assert _ratio(colours["on-tone"], colours[tone]) >= 4.5, tone


def test_a_stage_has_a_line_for_every_seed() -> None:
    """The seconds were to be summed over seeds, and a name's seed was looked for in another form
    than it has."""
    seconds = {
        "base:41": 5.0, "base:42": 7.0, "seed0/align": 1.0, "seed1/align~1": 2.0,
        "base/seed0/hearth": 3.0, "base/seed1/hearth": 3.0, "corpus:seed3/x": 1.0, "base": 1.0,
    }  # fmt: skip
    assert html.stage_seconds(seconds) == [
        ("base", 13.0, 3), ("base/hearth", 6.0, 2), ("align", 3.0, 2), ("corpus:seed3/x", 1.0, 1),
    ]  # fmt: skip


def test_what_a_benchmark_without_groups_compares_is_on_no_page(data: dict[str, Any]) -> None:
    """A mean and chance, say: the gap stood in results.json alone."""
    data["groups"] = []
    data["gaps"] = [{
        "arm": "direct", "benchmark": "why", "split": None, "first": "mean", "second": "chance 0.5",
        "value": 0.1, "low": 0.05, "high": 0.15, "groups": 2, "seed": 0, "note": "over topics",
    }]  # fmt: skip
    page = html.report_html(Results.model_validate(data))
    assert page.count("mean − chance 0.5") == 1 and "<summary>Differences</summary>" in page
