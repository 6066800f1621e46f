"""The cost in capability: bits a byte of held-out text."""

import json
import math
from pathlib import Path

import pytest

from whyfirst.config.errors import DataError
from whyfirst.evaluate.benchmarks.perplexity import perplexity
from whyfirst.evaluate.item import ItemResult
from whyfirst.models.scripted import ScriptedModel


def _scored(tmp_path: Path, text: str, logprob: float, **more: int) -> ItemResult:
    file = tmp_path / "texts.jsonl"
    file.write_text(json.dumps({"text": text}), encoding="utf-8")
    task = perplexity(data=file, **more)
    (prompt,) = task.prompts
    first, space, rest = prompt.partition(" ")
    model = ScriptedModel(scores={(first, space + rest): logprob})
    (record,) = task.run(model, (), lambda *_: None)
    return record


def test_one_bit_a_byte_is_an_eighth_of_the_size(tmp_path: Path) -> None:
    """By hand: 16 bytes after the first word at 16 bits; an umlaut counts as two bytes."""
    ascii_text = _scored(tmp_path, "The abc defg hijklm", -16 * math.log(2))
    assert ascii_text.score == pytest.approx(1 / 8)
    assert "1.000 bits a byte" in str(ascii_text.response)
    assert "perplexity 40.3 over 3 tokens" in str(ascii_text.response)  # 2 ** (16 / 3)
    assert _scored(tmp_path, "The äbc", -5 * math.log(2)).score == pytest.approx(1 / 8)


def test_what_has_no_number_is_unscored_with_its_reason(tmp_path: Path) -> None:
    """A NaN, or nothing to score, must not become a size of 0."""
    assert _scored(tmp_path, "The abc", math.nan).reason == "scripted: not a number"
    assert _scored(tmp_path, "Alone", 0.0).reason == "a text of one word"
    assert _scored(tmp_path, "The worst", -1e6).score == 1.0


def test_long_texts_end_at_a_word(tmp_path: Path) -> None:
    """Half a word would be scored as though somebody had written it."""
    record = _scored(tmp_path, "one two three four", -1.0, max_characters=10)
    assert record.prompt == "one two"


def test_bolds_folder_gives_whole_wikipedia_sentences(tmp_path: Path) -> None:
    """The prompt and its continuation are one text; a beginning without one is left out."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "wikipedia").mkdir()
    (tmp_path / "prompts/gender_prompt.json").write_text('{"men": {"Al": ["Al is "], "Bo": [""]}}')
    (tmp_path / "wikipedia/gender_wiki.json").write_text(
        '{"men": {"Al": ["Al is tall."], "Bo": ["Bo."]}}'
    )
    assert perplexity(data=tmp_path).prompts == ["Al is tall."]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """And not read as no texts at all."""
    with pytest.raises(DataError, match="perplexity"):
        perplexity(data=tmp_path)
