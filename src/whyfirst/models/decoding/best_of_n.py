"""Best of n: several answers are drawn, and the one that scores highest is given.

Stiennon et al. 2020, "Learning to summarize from human feedback", arXiv 2009.01325, section 4.3;
Nakano et al. 2021, arXiv 2112.09332. `by: random` spends the same budget and chooses by hash of the
prompt: the equal-budget baseline, which every gain has to beat. Leaves out: generating until a
threshold is reached, and the score's error, which choosing the highest score favours.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_json
from whyfirst.models.base import GREEDY, Completion, LanguageModel, Loglikelihood, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, AtLeast1, NotNegative, Score
from whyfirst.models.decoding.dialogue import drawn, nth


@dataclass
class _BestOf:
    """A model that answers with the best of several of its answers."""

    model: LanguageModel
    n: int
    temperature: float
    by: str
    score: Score | None
    fallbacks: Counter[str] = field(default_factory=Counter)

    @property
    def fingerprint(self) -> str:
        options = [self.n, self.temperature, self.by]
        return sha256_json([self.model.fingerprint, "best_of_n", options])

    @property
    def chat_template(self) -> str:
        return self.model.chat_template

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        """See `LanguageModel.generate`; `n` answers, each the best of as many drawn for it."""
        if self.n == 1:
            return self.model.generate(prompts, n=n, sampling=sampling)
        rounds = []
        for number in range(n):
            samples = nth(drawn(sampling, self.temperature), number, "best_of_n")
            found = self.model.generate(prompts, n=self.n, sampling=samples)
            rounds.append([self._best(p, c) for p, c in zip(prompts, found, strict=True)])
        return [list(answers) for answers in zip(*rounds, strict=True)]

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        """The wrapped model's."""
        return self.model.loglikelihood(requests)

    def _best(self, prompt: Prompt, drafts: Sequence[Completion]) -> Completion:
        """The first of those that score highest; one with a problem only where all have one."""
        scores = self._scores(prompt, [draft.text for draft in drafts])
        usable = [place for place, draft in enumerate(drafts) if draft.problem is None]
        if usable and max(scores[place] for place in usable) == -math.inf:
            self.fallbacks["no draft could be scored: the first one is the answer"] += 1
        return drafts[max(usable or [0], key=lambda place: scores[place])]

    def _scores(self, prompt: Prompt, texts: Sequence[str]) -> list[float]:
        if self.by == "random":
            key = f"{prompt}/{texts}".encode("utf-8", "replace")
            chosen = int.from_bytes(hashlib.sha256(key).digest()[:8], "big") % len(texts)
            return [float(place == chosen) for place in range(len(texts))]
        if self.by == "likelihood":
            # Per token, so that the shortest answer isn't the best one.
            (found,) = self.model.loglikelihood([(prompt, texts)])
            # An empty draft has no token, and would have the likelihood of a certain one.
            return [
                one.logprob / one.tokens if one.tokens and not math.isnan(one.logprob)
                else -math.inf for one in found
            ]  # fmt: skip
        if self.score is None:
            raise UserError(f"best_of_n: no rewards are at hand to score by {self.by!r}")
        given = self.score(self.by, [prompt] * len(texts), texts)
        return [-math.inf if value is None else value for value in given]


@DECODINGS.enter(
    "best_of_n",
    version="2",
    paper="Stiennon et al. 2020, arXiv 2009.01325; Nakano et al. 2021, arXiv 2112.09332",
    needs="nothing; by a reward's name: that reward",
    likelihoods=lambda options: options.by == "likelihood" and options.n > 1,
    tested="n = 1 asks the model once, unchanged; the draft with the highest score is the answer",
)
def best_of_n(
    model: LanguageModel,
    *,
    n: AtLeast1 = 4,
    by: str = "likelihood",
    temperature: NotNegative = 0.7,
    score: Score | None = None,
) -> LanguageModel:
    """The best of n answers, by their likelihood, a reward, or chance (the same budget).

    Args:
        n: answers drawn.
        by: `likelihood` (mean log-probability of a token), `random`, or a reward's name.
        temperature: of drawing, at least.
    """
    return _BestOf(model, n, temperature, by, score)
