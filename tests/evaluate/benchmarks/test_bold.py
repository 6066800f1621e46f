"""BOLD: continuations scored by a named scorer, unscored without one, gaps by domain."""

from pathlib import Path
from typing import Any

import pytest
from bench_helpers import DATA, needs_data, run, write_json
from scoring_helpers import Exchange, score

from whyfirst.config.errors import UserError
from whyfirst.data.bold import read_bold
from whyfirst.evaluate.gaps import range_gaps
from whyfirst.evaluate.scorers import make_scorer
from whyfirst.evaluate.scorers.affect import VaderScorer
from whyfirst.models.scripted import ScriptedModel

VADER = VaderScorer()


def _sentiment(text: str) -> float:
    (found,) = score(VADER, [Exchange("x", "", text)])
    assert found.score is not None
    return found.score


@pytest.fixture
def place(tmp_path: Path) -> Path:
    gender = {"men": {"Al_Bo": ["Al Bo is ", "Al was "], "Cy": [""]}, "women": {"Di": ["Di is "]}}
    wiki = {
        "men": {"Al_Bo": ["Al Bo is a good man.", "Al was ill."], "Cy": ["Cy."]},
        "women": {"Di": ["Di is a happy woman."]},
    }
    write_json(tmp_path / "prompts" / "gender_prompt.json", gender)
    write_json(tmp_path / "wikipedia" / "gender_wiki.json", wiki)
    write_json(tmp_path / "prompts" / "profession_prompt.json", {"dance": {"Jig": ["A jig is "]}})
    return tmp_path


def test_vader_by_hand() -> None:
    """compound = x / sqrt(x² + 15); "good" has the valence 1.9, so "good" alone 0.4404."""
    good = 1.9 / (1.9**2 + 15) ** 0.5
    assert _sentiment("good") == pytest.approx((good + 1) / 2, abs=1e-4)
    assert _sentiment("the table") == 0.5
    assert score(VADER, [Exchange("x", "", " ")])[0].reason == "an empty text has no valence"
    assert score(VADER, [Exchange("x", "", "bon", "fr")])[0].outcome == "unscored"
    (horrible,) = score(VADER, [Exchange("x", "", "horrible hateful murder")])
    assert horrible.outcome == "fail"


def test_the_continuation_is_scored_without_its_beginning(place: Path) -> None:
    model = ScriptedModel(lambda sent: " good" if sent == "Al Bo is" else " the table")
    found = run("bold", model, data=place)
    assert model.prompts == ["Al Bo is", "Al was", "Di is", "A jig is"]
    own = found["bold_sentiment"]["bold:gender/men/Al_Bo/0"]
    assert own.score == _sentiment("good")
    assert own.judge == f"vader-lexicon/{VADER.version}"
    assert (own.split, own.group, own.topic) == ("gender", "men", "gender/Al_Bo")
    baseline = found["bold_sentiment_wikipedia"]
    assert baseline["bold:gender/men/Al_Bo/0"].score == _sentiment("a good man.")
    assert baseline["bold:profession/dance/Jig/0"].reason == (
        "`data` holds no wikipedia folder beside BOLD's prompts"
    )
    empty = found["bold_sentiment"]["bold:gender/men/Cy/0"]
    assert empty.reason == "the prompt was published empty"


def test_what_lies_outside_of_the_data_is_read(place: Path) -> None:
    """A study hashes `data` alone, and sentences from beside it counted in no fingerprint."""
    for data in (place / "prompts", place / "prompts" / "gender_prompt.json"):
        assert not any(row.wikipedia for row in read_bold(data))
    assert any(row.wikipedia for row in read_bold(place))


def test_nothing_stands_in_for_a_classifier(place: Path) -> None:
    """Toxicity made up from a lexicon would look like a measurement."""
    found = run("bold", ScriptedModel(lambda sent: " x"), data=place)
    for metric in ("bold_toxicity", "bold_toxicity_wikipedia"):
        reasons = [i.reason for i in found[metric].values()]
        assert reasons.count("no scorer of 'toxicity' was given") == 4
        assert reasons.count("the prompt was published empty") == 1
        assert len(found[metric]) == 5
    assert {item.split for item in found["bold_regard"].values()} == {"gender"}


def test_gaps_are_within_a_domain() -> None:
    from whyfirst.evaluate.benchmark import ItemResult

    items = [
        ItemResult(f"{split}{group}{n}", "bold_sentiment", "pass", score=score + n / 100,
                   split=split, group=group, topic=f"{split}{group}{n}")
        for split, group, score in (
            ("race", "a", 0.4), ("race", "b", 0.6), ("race", "c", 0.5), ("gender", "d", 0.1),
            ("gender", "e", 0.15),
        )
        for n in range(8)
    ]  # fmt: skip
    gaps = {gap.split: gap for gap in range_gaps(items)}
    assert gaps["race"].between == ("b", "a")
    assert gaps["race"].value == pytest.approx(0.2)
    assert gaps["gender"].between == ("e", "d")
    assert gaps["race"].groups == 3


WORDS = ["[PAD]", "[UNK]", "kind", "nasty", "plain"]


def _classifier(folder: Path, labels: dict[int, str], multi: bool = False) -> str:
    """A classifier whose logits are the embedding of the only word: kind (3,-3), nasty (-3,3)."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        DistilBertConfig,
        DistilBertForSequenceClassification,
        PreTrainedTokenizerFast,
    )

    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    )
    tokenizer.save_pretrained(folder)
    config = DistilBertConfig(
        vocab_size=5, dim=8, hidden_dim=8, n_layers=1, n_heads=1, max_position_embeddings=16,
        num_labels=len(labels), id2label=labels, label2id={v: k for k, v in labels.items()},
        problem_type="multi_label_classification" if multi else None,
    )  # fmt: skip
    torch.manual_seed(0)
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    return str(folder)


def _probabilities(path: str, text: str, multi: bool = False) -> list[float]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(path).eval()
    inputs = AutoTokenizer.from_pretrained(path)(text, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits[0]
    return (logits.sigmoid() if multi else logits.softmax(-1)).tolist()


def _ask(judge: Any, *texts: str) -> list[Any]:
    return score(judge, [Exchange(str(n), "", text) for n, text in enumerate(texts)])


def test_a_classifier_scores_its_toxic_label(tmp_path: Path) -> None:
    """The other label, or a batch's padding, must not change a probability."""
    path = _classifier(tmp_path / "tox", {0: "nothing", 1: "TOXIC", 2: "severe_toxic"}, multi=True)
    judge = make_scorer(f"toxicity:{path}")
    texts = ["nasty", "kind plain nasty kind kind", "plain"]
    for text, found in zip(texts, _ask(judge, *texts), strict=True):
        expected = _probabilities(path, text, multi=True)[1]
        assert found.score == pytest.approx(expected, abs=1e-5)
        assert found.outcome == ("pass" if expected < 0.5 else "fail")
    long, empty = _ask(judge, "plain " * 17, " ")
    assert long.reason == "longer than the classifier's 16 tokens"
    assert empty.reason == "an empty text has no valence"


def test_a_classifier_of_one_output_finds_every_text_toxic(tmp_path: Path) -> None:
    """The softmax of a lone output is 1."""
    path = _classifier(tmp_path / "one", {0: "toxic"})
    texts = ["nasty", "kind plain"]
    for text, found in zip(texts, _ask(make_scorer(f"toxicity:{path}"), *texts), strict=True):
        assert found.score == pytest.approx(_probabilities(path, text, multi=True)[0], abs=1e-5)
        assert 0 < found.score < 1


def test_regard_is_positive_minus_negative(tmp_path: Path) -> None:
    path = _classifier(tmp_path / "reg", {0: "negative", 1: "neutral", 2: "positive", 3: "other"})
    (found,) = _ask(make_scorer(f"regard:{path}"), "kind plain")
    row = _probabilities(path, "kind plain")
    assert found.score == pytest.approx((row[2] - row[0] + 1) / 2, abs=1e-5)


def test_a_classifier_is_plugged_in_by_question(tmp_path: Path, place: Path) -> None:
    path = _classifier(tmp_path / "hate", {0: "nothate", 1: "hate"})
    judge = make_scorer(f"toxicity:{path}")
    found = run("bold", ScriptedModel(lambda sent: " plain"), data=place, judge=judge)
    scored = [i for i in found["bold_toxicity"].values() if i.verdict != "unscored"]
    assert len(scored) == 4
    assert {i.judge for i in scored} == {f"toxicity-classifier:hate/{judge.version}"}
    assert len(judge.version) == 12


@pytest.mark.parametrize("question", ["toxicity", "regard", "sentiment"])
def test_labels_that_name_nothing_are_refused(tmp_path: Path, question: str) -> None:
    path = _classifier(tmp_path / "x", {0: "LABEL_0", 1: "LABEL_1"})
    with pytest.raises(UserError, match=r"has the labels label_0, label_1; it needs .* id2label"):
        make_scorer(f"{question}:{path}")


def test_a_classifier_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        make_scorer(f"toxicity:{tmp_path / 'none'}")
    with pytest.raises(UserError, match="regard: path: "):
        make_scorer("regard")


@pytest.mark.data
@needs_data
def test_every_published_prompt_is_continued() -> None:
    model = ScriptedModel(lambda sent: " a good table")
    found = run("bold", model, data=DATA, limit=2000)
    assert len(found["bold_sentiment"]) == 2000
    scored = [i for i in found["bold_sentiment"].values() if i.verdict != "unscored"]
    assert {item.score for item in scored} == {_sentiment("a good table")}
    baseline = [i for i in found["bold_sentiment_wikipedia"].values() if i.verdict != "unscored"]
    gaps = {gap.split: gap for gap in range_gaps(baseline)}
    assert {"gender", "race", "profession"} <= set(gaps)
    assert all(0 <= gap.low <= gap.value <= gap.high <= 1 for gap in gaps.values())
