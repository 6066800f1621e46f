"""Beam search over tokens: equal to an exhaustive one, no token read twice, rewards reached."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tiny_models import build_tiny, sharpen

from whyfirst.config.room import Use
from whyfirst.models.base import Prompt, Sampling
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.search import beam_search
from whyfirst.models.local import LocalModel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    loaded = LocalModel(build_tiny("llama", tmp_path_factory.mktemp("search")), device="cpu")
    sharpen(loaded.model)
    return loaded


def logp_of(model: Any, prompt: Sequence[int], tokens: Sequence[int]) -> float:
    ids = torch.tensor([[*prompt, *tokens]])
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0].float().log_softmax(-1)
    start = len(prompt) - 1
    return sum(logits[start + i, token].item() for i, token in enumerate(tokens))


def exhaustive(model: Any, prompt: Sequence[int], ends: set[int], beams: int, most: int) -> Any:
    """Beam search written plainly, without a cache."""
    alive: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    done: list[tuple[float, tuple[int, ...]]] = []
    for _ in range(most):
        grown = []
        for logp, tokens in alive:
            ids = torch.tensor([[*prompt, *tokens]])
            with torch.inference_mode():
                next_logp = model(input_ids=ids).logits[0, -1].float().log_softmax(-1)
            for token in next_logp.topk(beams).indices.tolist():
                grown.append((logp + next_logp[token].item(), (*tokens, token)))
        done += [(v, t[:-1]) for v, t in grown if t[-1] in ends]
        alive = sorted((g for g in grown if g[1][-1] not in ends), reverse=True)[:beams]
        if not alive or (done and max(done)[0] >= alive[0][0]):
            break
    return max(done or alive)


@pytest.mark.parametrize(("beams", "most"), [(1, 6), (3, 5), (4, 4)])
def test_weight_0_is_beam_search_exactly_and_reads_no_token_twice(
    model: LocalModel, beams: int, most: int
) -> None:
    (prompt,) = model.encode_prompts(["one two three"])
    for ends in (set(), {5, 9, 17, 30}):
        found = beam_search(
            model.model, prompt, frozenset(ends), beams=beams, branch=beams, most=most
        )
        logp, tokens = exhaustive(model.model, prompt, ends, beams, most)
        assert found.tokens == tokens and found.logp == pytest.approx(logp, abs=1e-4)
        # The prompt once, and one token for each partial answer and step.
        assert found.fed <= len(prompt) + beams * most


def test_a_large_weight_reaches_the_token_that_greedy_misses(model: LocalModel) -> None:
    (prompt,) = model.encode_prompts(["one two three"])
    plain = beam_search(model.model, prompt, frozenset(), beams=2, branch=8, most=4)
    with torch.inference_mode():
        logits = model.model(input_ids=torch.tensor([prompt])).logits[0, -1]
    wanted = next(t for t in logits.topk(8).indices.tolist()[1:] if t not in plain.tokens)

    def covers(answers: Sequence[Sequence[int]]) -> list[float]:
        return [100.0 * (wanted in answer) for answer in answers]

    led = beam_search(
        model.model, prompt, frozenset(), beams=2, branch=8, most=4, look_ahead=2, value=covers
    )
    assert wanted in led.tokens and wanted not in plain.tokens
    assert led.logp == pytest.approx(logp_of(model.model, prompt, led.tokens), abs=1e-4)
    assert led.logp <= plain.logp + 1e-6


def test_the_reward_rises_with_its_weight(model: LocalModel) -> None:
    rewards = []
    for weight in (0.0, 1.0, 100.0):

        def score(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
            return [float(text.count("e")) for text in texts]

        method = DECODINGS.make(
            Use(name="deal", reward="r", weight=weight, beams=2, branch=6, look_ahead=2),
            score=score,
        )(model)
        ((answer,),) = method.generate(["one two three"], sampling=Sampling(max_new_tokens=6))
        rewards.append(answer.text.count("e"))
    assert rewards == sorted(rewards) and rewards[-1] > rewards[0]


def test_deal_does_not_depend_on_its_batch(model: LocalModel) -> None:
    def score(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
        return [-float(len(text)) for text in texts]

    use = Use(name="deal", reward="r", beams=2, branch=3, look_ahead=1)
    method = DECODINGS.make(use, score=score)(model)
    short = Sampling(max_new_tokens=4)
    together = method.generate(["one", "two three"], sampling=short)
    assert together == [method.generate([p], sampling=short)[0] for p in ("one", "two three")]
    assert math.isfinite(sum(len(row[0].text) for row in together))
    assert together[0][0].problem is None


def test_deal_goes_on_past_a_text_that_ends_an_answer(model: LocalModel) -> None:
    """With weight 0 and one beam it is the model's own greedy answer, stop texts included."""
    plain = model.generate(["w1 w2 w3"], sampling=Sampling(10))[0][0].text
    stop = plain.strip()[len(plain.strip()) // 2 :][:2]
    sampling = Sampling(10, stop=(stop,))
    use = {"name": "deal", "reward": "r", "weight": 0.0, "beams": 1, "branch": 1, "look_ahead": 0}
    method = DECODINGS.make(Use.model_validate(use), score=lambda *_: [0.0])(model)
    (wanted,), (found,) = (m.generate(["w1 w2 w3"], sampling=sampling) for m in (model, method))
    assert wanted[0].finished
    assert (found[0].text, found[0].finished) == (wanted[0].text, True)
