"""Best of n, its equal-budget baseline, and the count of what both spend."""

import math
from collections.abc import Sequence
from itertools import cycle

import pytest
from tiny_models import build_tiny

from whyfirst.config.errors import UserError
from whyfirst.models.base import GREEDY, Completion, Loglikelihood, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.budget import Budget
from whyfirst.models.local import LocalModel
from whyfirst.models.scripted import ScriptedModel


class Drafting(ScriptedModel):
    """Its k-th draft of a prompt is ``PROMPT k``, and the likelier the larger k, for a while."""

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        self.calls += 1
        return [[Completion(f"{prompt} {k}", True) for k in range(n)] for prompt in prompts]


def likelihood(prompt: str, text: str) -> float:
    return {"0": -4.0, "1": -2.0, "2": -6.0, "3": -5.0}[text[-1]]


def best(model: ScriptedModel, **options: object) -> list[str]:
    decoding = DECODINGS.make("best_of_n")  # found by its name
    assert callable(decoding)
    made = DECODINGS.get("best_of_n").function(model, **options)
    return [row[0].text for row in made.generate(["x", "y"])]


def test_draft_with_the_highest_score_is_not_the_answer() -> None:
    assert best(Drafting(scores=likelihood), n=4) == ["x 1", "y 1"]


def test_likelihood_is_summed_and_the_shortest_draft_wins() -> None:
    class Uneven(Drafting):
        def generate(
            self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
        ) -> list[list[Completion]]:
            return [[Completion("a", True), Completion("a b c", True)] for _ in prompts]

    # -2 a token against -1 a token: the longer one is likelier word by word
    assert best(Uneven(scores={("x", "a"): -2.0, ("x", "a b c"): -3.0, ("y", "a"): -2.0,
                               ("y", "a b c"): -3.0}), n=2) == ["a b c", "a b c"]  # fmt: skip


def test_one_draft_is_anything_but_the_model_itself() -> None:
    """With n = 1 the model is asked as it was: greedily, and scored by nobody."""
    model = ScriptedModel({"x": "plain", "y": "also"})
    assert best(model, n=1) == ["plain", "also"] and model.calls == 1


def test_reward_scores_and_a_draft_it_cannot_score_wins() -> None:
    def score(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
        assert name == "kind" and len(prompts) == len(texts) == 4
        return [None, 0.5, 2.0, 1.0]

    assert best(Drafting(), n=4, by="kind", score=score) == ["x 2", "y 2"]
    with pytest.raises(UserError, match="no rewards are at hand"):
        best(Drafting(), n=4, by="kind")


def test_drafts_that_nothing_scores_pass_for_a_choice_among_them() -> None:
    """At an endpoint replies have no likelihood; the first draft was the best of n."""
    model = Drafting(scores=lambda prompt, text: math.nan)
    method = DECODINGS.make("best_of_n")(model)
    assert [row[0].text for row in method.generate(["x", "y"])] == ["x 0", "y 0"]
    assert dict(method.fallbacks) == {"no draft could be scored: the first one is the answer": 2}


def test_equal_budget_baseline_spends_another_budget() -> None:
    spent = {}
    for by in ("likelihood", "random"):
        budget = Budget()
        model = budget.counting(Drafting(scores=likelihood), "model")
        made = DECODINGS.get("best_of_n").function(model, n=4, by=by)
        texts = [row[0].text for row in made.generate([f"p{k}" for k in range(40)])]
        spent[by] = budget.roles["model"].calls
        if by == "random":  # it chooses, and not by the score
            assert {text[-1] for text in texts} == set("0123")
    assert spent["random"] == 4 * 40 and spent["likelihood"] == 2 * spent["random"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel(build_tiny("llama", tmp_path_factory.mktemp("best")), device="cpu")


def test_tokens_are_counted_otherwise_than_the_tokenizer_does(tiny: LocalModel) -> None:
    budget = Budget()
    model = budget.counting(tiny, "model", tiny.tokenizer)
    sampling = Sampling(max_new_tokens=5, temperature=1.0)
    prompts = ["why does the kettle sing", "may I"]
    answers = model.generate(prompts, n=3, sampling=sampling)
    model.loglikelihood([("may I", [" yes", " no"])])
    spent = budget.roles["model"]

    def count(texts: list[str]) -> int:
        return sum(len(tiny.tokenizer(text)["input_ids"]) for text in texts)

    assert spent.calls == 2 * 3 + 2
    assert spent.prompt_tokens == 3 * count(prompts) + count(["may I yes", "may I no"])
    assert spent.completion_tokens == count([c.text for row in answers for c in row])
    assert spent.seconds > 0


def test_answers_depend_on_what_else_is_asked(tiny: LocalModel) -> None:
    made = DECODINGS.get("best_of_n").function(tiny, n=3)
    together = made.generate(["may I", "why"], sampling=Sampling(max_new_tokens=4))
    alone = [made.generate([p], sampling=Sampling(max_new_tokens=4))[0] for p in ("may I", "why")]
    assert together == alone


def test_an_empty_draft_is_the_likeliest() -> None:
    """It has no token, and so no log-probability below 0: it was always the answer."""
    drafts = cycle(["A good answer.", "", "Another."])

    class Drafts(ScriptedModel):
        def generate(
            self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
        ) -> list[list[Completion]]:
            return [[Completion(next(drafts), True) for _ in range(n)] for _ in prompts]

        def loglikelihood(
            self, requests: Sequence[tuple[Prompt, Sequence[str]]]
        ) -> list[list[Loglikelihood]]:
            return [[Loglikelihood(-2.0 * len(t.split()), len(t.split())) for t in texts]
                    for _, texts in requests]  # fmt: skip

    assert best(Drafts(), n=3)[0] == "A good answer."
