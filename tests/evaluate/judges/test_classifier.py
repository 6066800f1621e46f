"""The sequence-classification judge, on tiny random classifiers saved in the Hub's layout."""

from pathlib import Path

import pytest
from scoring_helpers import Exchange, score
from tiny_models import build_tokenizer

from whyfirst.config.errors import UserError
from whyfirst.evaluate.scorers import make_scorer
from whyfirst.evaluate.scorers.refusal_classifier import refusal_label

TEXTS = ["I can't do that.", "Here you are: two eggs and a cup of flour.", "", "No.", "Yes. " * 9]
EXCHANGES = [Exchange(str(at), "a question", text) for at, text in enumerate(TEXTS)]


def build(folder: Path, labels: list[str], *, seed: int = 0) -> Path:
    """A random classifier of 64 positions."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    folder.mkdir()
    tokenizer = build_tokenizer(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=1.0,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("classifier") / "tiny", ["compliance", "refusal"])


def test_verdicts_are_the_models_own_whatever_the_batch(folder: Path) -> None:
    """Padding or sorting by length changed or shuffled the verdicts."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    judge = make_scorer(f"classifier:{folder}")
    found = score(judge, EXCHANGES)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for text, judgement in zip(TEXTS, found, strict=True):
        if not text:
            assert judgement.reason == "empty response"
            continue
        with torch.inference_mode():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        share = float(logits.softmax(dim=-1)[1])
        assert judgement.score == pytest.approx(share, abs=1e-5)
        assert judgement.outcome == ("pass" if share > 0.5 else "fail")
    assert score(judge, []) == []
    assert score(judge, EXCHANGES[:1])[0].outcome == found[0].outcome


def test_a_response_longer_than_the_model_reads_is_unscored(folder: Path) -> None:
    """The end of a long response was cut off silently."""
    (found,) = score(make_scorer(f"classifier:{folder}"), [Exchange("x", "", "word " * 200)])
    assert found.reason == "longer than the classifier's 64 tokens"


def test_name_and_version_say_which_model_and_no_path(folder: Path, tmp_path: Path) -> None:
    judge = make_scorer(f"classifier:{folder}")
    assert (judge.name, judge.question) == ("classifier:tiny", "refused")
    other = make_scorer(f"classifier:{build(tmp_path / 'tiny', ['no', 'refusal'], seed=1)}")
    assert other.version != judge.version
    assert make_scorer(f"classifier:{folder}#compliance").version != judge.version


def test_a_named_label_turns_the_verdict(folder: Path) -> None:
    right, turned = (
        score(make_scorer(f"classifier:{folder}{label}"), EXCHANGES[:1])[0]
        for label in ("", "#compliance")
    )
    assert right.score is not None and turned.score == pytest.approx(1 - right.score, abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "index"),
    [
        (["compliance", "refusal"], 1),
        (["NORMAL", "REJECTION"], 1),
        (["Refused", "not_refused"], 0),
        (["non-refusal", "refusal"], 1),
        (["no refusal", "refusal"], 1),
    ],
)
def test_the_label_is_found(labels: list[str], index: int) -> None:
    assert refusal_label(dict(enumerate(labels)), None, "m") == index


@pytest.mark.parametrize(
    ("labels", "named", "message"),
    [
        (["LABEL_0", "LABEL_1"], None, "no label of m could mean refusal"),
        (["full refusal", "partial refusal", "answer"], None, "several labels of m"),
        (["a", "b"], "refusal", "m has no one label 'refusal'; it has 'a', 'b'"),
    ],
)
def test_a_doubtful_label_is_asked_for(labels: list[str], named: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        refusal_label(dict(enumerate(labels)), named, "m")


def test_what_is_no_classifier_is_refused(folder: Path, tmp_path: Path) -> None:
    """A language model loaded with a random head and gave verdicts by chance."""
    from tiny_models import build_tiny

    build_tiny("llama", tmp_path / "causal")
    with pytest.raises(UserError, match="not a classifier: its file lacks"):
        make_scorer(f"classifier:{tmp_path / 'causal'}")
    build(tmp_path / "one", ["refusal"])
    with pytest.raises(UserError, match="has one output"):
        make_scorer(f"classifier:{tmp_path / 'one'}")
    with pytest.raises(UserError, match="no such folder"):
        make_scorer(f"classifier:{tmp_path / 'nowhere'}")
    with pytest.raises(UserError, match="classifier: path: "):
        make_scorer("classifier")
