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
