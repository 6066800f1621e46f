"""`LocalModel`: batching must change nothing, and every limit must show."""

import itertools
import math
import shutil
from pathlib import Path

import pytest
import torch
from tiny_models import build_tiny, greedy_tokens, sharpen

from whyfirst.config.errors import UserError
from whyfirst.models.base import Sampling
from whyfirst.models.engine import beginnings, decode
from whyfirst.models.local import LocalModel

PROMPTS = [
    "\n\nHuman: why?\n\nAssistant:",
    "\n\nHuman: may I borrow the lantern tonight, and the kettle?\n\nAssistant:",
    "a",
    "",
    "Привет, 世界! 🙂",
]
REQUESTS = [
    (PROMPTS[0], [" Because the water boils.", " Yes", " Yes, if you bring it back."]),
    (PROMPTS[1], [" Yes.", " No, the road is dark and others walk it too."]),
    (PROMPTS[3], ["alone"]),
    (PROMPTS[4] + " ", ["no space before it"]),
]


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> LocalModel:
    loaded = LocalModel(tiny_folder, device="cpu")
    sharpen(loaded.model)
    return loaded


def naive_logprob(model: LocalModel, prompt: str, continuation: str) -> tuple[float, int]:
    """One sequence, no cache, no batch: the definition."""
    start = model.tokenizer(prompt.rstrip())["input_ids"]
    ids = model.tokenizer(prompt + continuation)["input_ids"]
    context = start or [min(model.end_tokens)]
    whole = context + ids[len(start) :]
    with torch.no_grad():
        logits = model.model(input_ids=torch.tensor([whole])).logits[0].double()
    table = torch.log_softmax(logits, dim=-1)
    tail = range(len(context), len(whole))
    return sum(table[i - 1, whole[i]].item() for i in tail), len(tail)


def naive_greedy(model: LocalModel, prompt: str, steps: int) -> str:
    """No cache: the whole text again for every token."""
    ids = model.tokenizer(prompt)["input_ids"] or [min(model.end_tokens)]
    tokens = greedy_tokens(model.model, ids, steps)
    new = list(itertools.takewhile(lambda token: token not in model.end_tokens, tokens))
    return str(model.tokenizer.decode(new, skip_special_tokens=True))


@pytest.mark.parametrize("batch_tokens", [1, 60, 100_000])
def test_batched_loglikelihoods_equal_the_definition(model: LocalModel, batch_tokens: int) -> None:
    model.batch_tokens = batch_tokens
    found = model.loglikelihood(REQUESTS)
    assert model._packed
    for (prompt, texts), answers in zip(REQUESTS, found, strict=True):
        for text, answer in zip(texts, answers, strict=True):
            expected, tokens = naive_logprob(model, prompt, text)
            assert answer.logprob == pytest.approx(expected, abs=1e-4)
            assert answer.tokens == tokens
            assert answer.problem is None


@pytest.mark.parametrize("batch_tokens", [1, 60, 100_000])
def test_batched_generation_equals_one_by_one_without_a_cache(
    model: LocalModel, batch_tokens: int
) -> None:
    model.batch_tokens = batch_tokens
    found = model.generate(PROMPTS, sampling=Sampling(max_new_tokens=9))
    assert [c[0].text for c in found] == [naive_greedy(model, p, 9) for p in PROMPTS]


def test_a_shared_preamble_changes_no_score(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginnings, "_WORTH", 20)  # so that three prompts are worth sharing
    preamble = (
        "\n\nHuman: may I borrow the lantern tonight?\n\nAssistant: Yes, if you bring it back"
    )
    requests = [(preamble + end, [" now", " before the bell", " at"]) for end in ("", ".", ". It")]
    groups = beginnings.plan([model.tokenizer(p)["input_ids"] for p, _ in requests])
    assert len(groups[-1].beginning) >= 16, "this test must exercise the shared beginning"
    for (prompt, texts), answers in zip(requests, model.loglikelihood(requests), strict=True):
        expected = [naive_logprob(model, prompt, text)[0] for text in texts]
        assert [a.logprob for a in answers] == pytest.approx(expected, abs=1e-4)


def test_next_token_probabilities_sum_to_one(model: LocalModel) -> None:
    words = [model.tokenizer.decode([i]) for i in range(2, len(model.tokenizer))]
    ascii_words = [w for w in words if len(model.tokenizer(w)["input_ids"]) == 1]
    (found,) = model.loglikelihood([("", ascii_words)])
    total = sum(math.exp(answer.logprob) for answer in found if answer.tokens == 1)
    assert 0.3 < total <= 1 + 1e-5  # the rest is bytes that are no text of their own


def test_rows_that_end_early_leave_the_others_unchanged(model: LocalModel) -> None:
    free = model.generate(PROMPTS, sampling=Sampling(max_new_tokens=9))
    encoded = [model.tokenizer(c[0].text)["input_ids"] for c in free]
    old = model.end_tokens
    try:
        # End some rows at once by declaring tokens they use to be end tokens.
        model.end_tokens = old | {encoded[0][0], encoded[1][2]}
        found = model.generate(PROMPTS, sampling=Sampling(max_new_tokens=9))
        expected = [naive_greedy(model, p, 9) for p in PROMPTS]
    finally:
        model.end_tokens = old
    assert [c[0].text for c in found] == expected
    assert any(c[0].finished for c in found)


def test_a_stop_text_ends_and_is_cut_off(model: LocalModel) -> None:
    whole = model.generate([PROMPTS[0]], sampling=Sampling(max_new_tokens=20))[0][0].text
    stop = whole[5:8]
    found = model.generate([PROMPTS[0]], sampling=Sampling(max_new_tokens=20, stop=(stop, "zz")))
    assert found[0][0].text == whole[: whole.index(stop)]
    assert found[0][0].finished


def test_a_sample_depends_on_its_seed_and_number_and_not_on_its_batch(model: LocalModel) -> None:
    hot = Sampling(max_new_tokens=8, temperature=1.0, top_p=0.9, seed=5)
    alone = model.generate([PROMPTS[1]], n=3, sampling=hot)[0]
    together = model.generate(PROMPTS, n=3, sampling=hot)[1]
    assert alone == together
    assert len({c.text for c in alone}) == 3
    other = model.generate([PROMPTS[1]], n=3, sampling=Sampling(8, 1.0, 0.9, seed=6))[0]
    assert other != alone


def test_drawn_tokens_follow_the_distribution_and_top_p() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.6, 0.3]])).repeat(1000, 1)
    uniform = (torch.arange(1000) + 0.5).double() / 1000
    counts = torch.bincount(decode.pick(logits, uniform, 1.0, 1.0), minlength=3)
    assert counts.tolist() == [100, 600, 300]
    kept = torch.bincount(decode.pick(logits, uniform, 1.0, 0.7), minlength=3)
    assert kept.tolist() == [0, 667, 333]
    cold = torch.bincount(decode.pick(logits, uniform, 0.01, 1.0), minlength=3)
    assert cold.tolist() == [0, 1000, 0]


@pytest.mark.parametrize("top_p", [1.0, 0.999])
def test_no_draw_gives_a_token_without_probability_or_one_that_is_none(top_p: float) -> None:
    """The edges: 0, and the largest number under 1, whose product may round up to the whole."""
    low = float("-inf")
    logits = torch.tensor([[low, 0.3, low, 0.1, low], [0.7, low, 0.1, 0.2, low]])
    for edge in (0.0, 1 - 2**-53):
        drawn = decode.pick(logits, torch.full((2,), edge).double(), 1.0, top_p)
        assert torch.isfinite(logits.gather(1, drawn[:, None])).all()


def test_a_stop_text_is_found_wherever_tokens_cut_it(model: LocalModel) -> None:
    """Only the last tokens are read for it, which must be enough of them."""
    hot = Sampling(max_new_tokens=40, temperature=1.0, seed=3)
    whole = [c[0].text for c in model.generate(PROMPTS, sampling=hot)]
    for text in whole:
        for start in range(3, min(len(text) - 9, 30), 7):
            for size in (2, 9):
                stop = text[start : start + size]
                stopped = Sampling(40, 1.0, seed=3, stop=(stop,))
                found = [c[0].text for c in model.generate(PROMPTS, sampling=stopped)]
                assert found == [t.split(stop)[0] for t in whole]


def test_repeated_prompts_and_numbers_keep_their_places(model: LocalModel) -> None:
    found = model.generate([PROMPTS[0], PROMPTS[2], PROMPTS[0]], n=2)
    assert found[0] == found[2] and found[0][0] == found[0][1]
    assert found[1] != found[0]
    assert model.generate([]) == [] and model.loglikelihood([]) == []


def test_what_does_not_fit_the_context_says_so(model: LocalModel) -> None:
    long = "kettle " * 200
    reply = model.generate([long, "a"], sampling=Sampling(max_new_tokens=3))
    assert reply[0][0].problem is not None and "context" in reply[0][0].problem
    assert reply[0][0].text == "" and not reply[0][0].finished
    assert reply[1][0].problem is None
    (answers,) = model.loglikelihood([("a", [" b", long])])
    assert answers[0].problem is None and answers[0].logprob < 0
    assert math.isnan(answers[1].logprob) and "of 128 tokens" in str(answers[1].problem)


def test_generation_stops_at_the_end_of_the_context(model: LocalModel) -> None:
    prompt = "a" * 300
    size = len(model.tokenizer(prompt)["input_ids"])
    while size >= 126:
        prompt = prompt[:-1]
        size = len(model.tokenizer(prompt)["input_ids"])
    old, model.end_tokens = model.end_tokens, frozenset()
    try:
        never = Sampling(max_new_tokens=64, stop=("\0never\0",))
        (found,) = model.generate([prompt], sampling=never)
    finally:
        model.end_tokens = old
    assert not found[0].finished
    assert found[0].text == naive_greedy(model, prompt, 128 - size)


def test_an_empty_continuation_has_no_tokens_and_no_cost(model: LocalModel) -> None:
    (answers,) = model.loglikelihood([("a", ["", " b"])])
    assert (answers[0].logprob, answers[0].tokens, answers[0].problem) == (0.0, 0, None)
    assert answers[1].tokens > 0


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "phi", "qwen2", "mistral"])
def test_other_architectures_score_and_generate_as_one_by_one(name: str, tmp_path: Path) -> None:
    """Learned positions, partial rotation, grouped heads and a sliding window."""
    other = LocalModel(build_tiny(name, tmp_path / "model"), device="cpu")
    assert other._packed == (name != "mistral")
    for (prompt, texts), answers in zip(REQUESTS, other.loglikelihood(REQUESTS), strict=True):
        expected = [naive_logprob(other, prompt, text)[0] for text in texts]
        assert [a.logprob for a in answers] == pytest.approx(expected, abs=2e-4)
    found = other.generate(PROMPTS, sampling=Sampling(max_new_tokens=6))
    assert [c[0].text for c in found] == [naive_greedy(other, p, 6) for p in PROMPTS]


def test_two_models_never_share_a_fingerprint(tiny_folder: Path, tmp_path: Path) -> None:
    first = LocalModel(tiny_folder, device="cpu").fingerprint
    assert first == LocalModel(tiny_folder, device="cpu").fingerprint
    assert first != LocalModel(tiny_folder, device="cpu", dtype="bfloat16").fingerprint
    seen = {first}
    for number, name in enumerate(("model.safetensors", "tokenizer.json", "chat_template.jinja")):
        copy = tmp_path / str(number)
        shutil.copytree(tiny_folder, copy)
        data = (copy / name).read_bytes()
        if name == "model.safetensors":
            data = data[:-1] + bytes([data[-1] ^ 1])
        elif name == "tokenizer.json":
            data = data.rstrip() + b"\n"
        else:
            data = data + b" "
        (copy / name).write_bytes(data)
        seen.add(LocalModel(copy, device="cpu").fingerprint)
    assert len(seen) == 4


def test_a_wrong_place_is_a_user_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Hub id like"):
        LocalModel(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"config\.json is missing"):
        LocalModel(tmp_path)
    with pytest.raises(UserError, match="40 hex digits"):
        LocalModel("some/model", trust_remote_code=True, revision="main")


def test_pickled_weights_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    torch.save({}, tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(UserError, match="can't be loaded"):
        LocalModel(tmp_path / "model")


def test_a_start_token_is_added_once(tiny_folder: Path, tmp_path: Path) -> None:
    """A tokenizer that sets a start token: texts that already carry it don't get two."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    shutil.copytree(tiny_folder, tmp_path / "model")
    inner = Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    inner.post_processor = processors.TemplateProcessing(
        single="<|pad|> $A <|end|>", special_tokens=[("<|pad|>", 1), ("<|end|>", 0)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<|pad|>", eos_token="<|end|>", pad_token="<|pad|>"
    ).save_pretrained(tmp_path / "model")
    started = LocalModel(tmp_path / "model", device="cpu")
    plain, carried = started.encode_prompts(["the kettle", "<|pad|>the kettle"])
    assert plain == carried
    assert plain[0] == 1 and 0 not in plain and plain.count(1) == 1


def test_batches_partition_every_row_within_the_budget() -> None:
    from whyfirst.models.engine.batching import batches

    for lengths, budget in itertools.product(([], [5], [3, 9, 9, 1, 30, 2] * 20), (1, 20, 64)):
        found = batches(lengths, budget, max_rows=8)
        assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
        for batch in found:
            assert len(batch) <= 8
            assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_of_nan_is_scored(tiny_folder: Path, temperature: float) -> None:
    """MC2 was 100 %: no comparison with NaN is true, and min(1, NaN) is 1."""
    broken = LocalModel(tiny_folder, device="cpu")
    with torch.no_grad():
        broken.model.get_output_embeddings().weight.fill_(float("nan"))
    for answers in broken.loglikelihood(REQUESTS):
        assert all("not numbers (NaN)" in str(answer.problem) for answer in answers)
    (found,) = broken.generate([PROMPTS[0]], sampling=Sampling(8, temperature))
    assert "not numbers (NaN)" in str(found[0].problem)
