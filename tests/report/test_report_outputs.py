"""The terminal headline and the model cards: nothing hostile gets through, the Hub can read it."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
import yaml
from rich.console import Console

from whyfirst.config.errors import UserError
from whyfirst.report.card import render_card
from whyfirst.report.compare import comparison_html
from whyfirst.report.html import report_html
from whyfirst.report.schema import Results
from whyfirst.report.terminal import print_headline


def shown(results: Results, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(print_headline(results))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_headline_reaches_the_terminal(results: Results) -> None:
    text = shown(results)
    assert "Teaching the reasons first" in text
    assert "direct_longer" in text
    assert "Made-up data" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(results: Results, width: int) -> None:
    assert max(len(line) for line in shown(results, width).splitlines()) <= width


def test_escapes_and_markup_are_shown_and_not_obeyed(data: dict[str, Any]) -> None:
    attack = "\x1b]0;owned\x07\x1b[2J\u202e[/bold][red]x"
    data["study"]["title"] = data["benchmarks"]["resistance"]["title"] = attack
    data["notes"] = [attack]
    data["arms"][attack] = data["arms"]["base"]
    text = shown(Results.model_validate(data), 400)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]x" in text


def test_the_card_is_read_by_the_hubs_own_parser(results: Results) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard(render_card(results, "explain_first"))
    found = {row.metric_type: row.metric_value for row in card.data.eval_results}
    cells = results.arms["explain_first"].benchmarks
    assert found == {name: cells[name]["*/*"].value for name in cells}
    assert card.data.tags == ["whyfirst", "explain", "align"]


def test_hostile_text_cannot_leave_the_cards_text(data: dict[str, Any]) -> None:
    attack = "---\nlicense: mit\n---\n<script>x</script> ```` [a](javascript:x) \x1b[2J"
    data["study"].update(title=attack, value=attack)
    data["arms"]["direct"]["description"] = attack
    data["command"] = attack
    card = render_card(Results.model_validate(data), "direct")
    header = card.split("\n---\n")[0]
    assert "license" not in yaml.safe_load(header.removeprefix("---\n"))
    body = card.split("\n---\n", 1)[1].split("`````bash")[0]
    assert "<script>" not in body
    assert "\x1b" not in card
    assert not re.search(r"(?<!\\)\]\(javascript", body)


def test_an_unknown_arm_is_refused_with_the_known_ones(results: Results) -> None:
    with pytest.raises(UserError, match="it has base, direct"):
        render_card(results, "explain")


def test_a_score_beside_a_share_is_printed_as_a_share(data: dict[str, Any]) -> None:
    """The 2 x 2 gave both numbers in the first one's unit: 0.9 points of a score as 90 %."""
    data["benchmarks"]["helpfulness"]["unit"] = "score"
    assert re.search(r"\d\.\d\s% / 0\.\d{3}\b", shown(Results.model_validate(data), 300))


def test_a_card_gives_numbers_measured_under_a_method_as_those_of_the_weights(
    data: dict[str, Any],
) -> None:
    """Best of four's numbers stood in the Hub's table of a model that answers once."""
    plain = render_card(Results.model_validate(data), "direct")
    data["arms"]["direct"] |= {"decoding": ["best_of_n"], "edits": ["steer"]}
    card = render_card(Results.model_validate(data), "direct")
    said = "not of the weights alone: the arm answers under the edits `steer` and by the decoding "
    assert card.index(f"{said}`best_of_n`") < card.index("| benchmark | value |")
    assert "not of the weights" not in plain
    assert "model-index" in plain and "model-index" not in card


def test_answers_that_were_scored_are_not_called_items(data: dict[str, Any]) -> None:
    """A card printed items times seeds, those without a score too, as so many items."""
    cell = data["arms"]["direct"]["benchmarks"]["resistance"]["*/*"]
    cell |= {"n": 4320, "unscored": 20}
    card = render_card(Results.model_validate(data), "direct")
    assert "| 95 % interval | answers | unscored |" in card and "| 4300 | 20 |" in card
    page = report_html(Results.model_validate(data))
    recall = page[page.index('<section id="recall">') :]
    assert "480 answers" in recall[: recall.index("</section>")]


def test_a_score_is_drawn_and_bounded_in_points_and_percent(data: dict[str, Any]) -> None:
    """Differences of .050 of a score were +5.0 points to screen readers and by seed."""
    data["benchmarks"]["resistance"] |= {"unit": "score", "readings": None, "axes": None}
    data["contrasts"] = [c for c in data["contrasts"] if c["name"] == data["headline"]]
    (contrast,) = data["contrasts"]
    contrast |= {"difference": 0.05, "low": 0.01, "high": 0.09}
    for row in contrast["per_seed"]:
        row |= {"a": 0.75, "b": 0.7, "difference": 0.05}
    results = Results.model_validate(data)
    page = report_html(results)
    contrasts = page[page.index('<section id="contrasts">') : page.index('<section id="framings">')]
    assert 'aria-label="+0.050"' in contrasts and "mean +0.050" in contrasts
    assert "<td>0.750</td><td>0.700</td><td>+0.050</td>" in contrasts
    assert "points:" not in contrasts and "+5.0" not in contrasts
    missed = page[page.index("What was not scored") : page.index("<h3>Registration</h3>")]
    bounds = [row for row in missed.split("<tr>") if results.benchmarks["resistance"].title in row]
    assert bounds and not any(re.search(r"<td>[\d.]+\s% to", row) for row in bounds)
    curves = page[page.index('<section id="curves">') :]
    assert not re.search(r"<title>direct: [\d.]+\s%", curves)
    both = comparison_html(results, results)
    assert 'aria-label="+0.050"' in both and not re.search(r"\d\s?points", both)
