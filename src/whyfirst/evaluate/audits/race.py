"""Do reasoning and answers agree over samples, and less where the answer is wrong: ``race``.

RACE, "Joint Evaluation of Answer and Reasoning Consistency for Hallucination Detection in Large
Reasoning Models", arXiv 2506.04832. Four parts, each higher for a hallucination: other samples'
reasoning contradicts the steps; answers are unlikely after the main reasoning; answers fall into
clusters (SINdex, every answer counted, where the released code counts each text once); entities of
the reasoning are missing from its steps. The paper adds them as they are; here each is brought to
[0, 1] and their mean is the score. Leaves out: attention as weights of steps, and models of its own
for entailment, entities and steps, in whose place the model itself and capitals stand.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.evaluate.audits.conditions import Answer, rows_of, shares_of
from whyfirst.evaluate.benchmark import Metric, Progress, benchmark
from whyfirst.evaluate.consistency import lost, sindex
from whyfirst.evaluate.gaps import range_gaps
from whyfirst.evaluate.item import ItemResult, limited, unscored
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import LanguageModel, Sampling, asked
from whyfirst.models.said import answer

RACE = Metric("race", "Reasoning and answers disagree", "Mean of contradictions between samples, "
              "unlikely answers, clusters of answers and entities lost, each in [0, 1].", "score",
              higher_is_better=False)  # fmt: skip
ASK = "{question}\nThink first between <think> and </think>; then answer in a few words."
STEPS = "Write the main steps of this reasoning, a line each, and nothing else.\n{thought}"
CONTRADICTS = "A: {step}\nB: {other}\nDoes B contradict A? Answer Yes or No."


@benchmark(
    "race",
    version="1",
    definition="Several samples with their reasoning, held against each other.",
    needs="race.jsonl of question and answers",
    metrics=(RACE,),
    source="Wang et al. 2025 (arXiv 2506.04832)",
    by=("group",),
    gaps=range_gaps,
    example={"race.jsonl": '{"question": "Who wrote it?", "answers": ["Ada"]}\n'},
)
def race(
    *, data: Path, limit: int | None = None, samples: int = 4, max_new_tokens: int = 256
) -> "Samples":
    """Every question, `samples` times at temperature 1; its group says if the first is right."""
    rows = rows_of(data, "race.jsonl", "race", ["question"], ["answers"])
    return Samples(limited(rows, limit, lambda row: row["id"]), samples, max_new_tokens)


@dataclass(frozen=True)
class Samples:
    """Questions; a `benchmark.Task`."""

    rows: Sequence[dict[str, Any]]
    samples: int
    max_new_tokens: int

    @property
    def prompts(self) -> list[str]:
        """See `benchmark.Task`."""
        return [row["question"] for row in self.rows]

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`; no scorer is asked."""
        out = []
        for done, row in enumerate(self.rows):
            progress(done, len(self.rows), "questions")
            parts = self._parts(model, row["question"])
            about = {"topic": row["topic"]}
            if isinstance(parts, Answer):
                more = {"transient": True} if parts.transient else {}
                out.append(unscored(row["id"], RACE.name, str(parts.reason), **about, **more))
                continue
            first, score = parts
            right = any(str(one).lower() in first.lower() for one in row["answers"])
            out.append(ItemResult(row["id"], RACE.name, "pass" if score >= 0.5 else "fail",
                                  score=score, **about,
                                  group="right" if right else "wrong"))  # fmt: skip
        return out

    def _parts(self, model: LanguageModel, question: str) -> tuple[str, float] | Answer:
        """The first answer and the score, or why there is none."""
        asking = asked(ASK.format(question=question))
        (drawn,) = model.generate([asking], self.samples, Sampling(self.max_new_tokens, 1.0))
        read = [answer(one) for one in drawn]
        for one, given in zip(read, drawn, strict=True):
            if one.problem:
                return Answer((), one.problem, given.transient)
        answers = [one.text.strip() for one in read]
        thoughts = [re.sub(r"</?think>", "", d.text.removesuffix(r.text)).strip()
                    for d, r in zip(drawn, read, strict=True)]  # fmt: skip
        if not all(thoughts) or not all(answers):
            return Answer((), "a sample has no reasoning or no answer")
        ((said,),) = model.generate([asked(STEPS.format(thought=thoughts[0]))],
                                    sampling=Sampling(self.max_new_tokens))  # fmt: skip
        if (reply := answer(said)).problem:
            return Answer((), reply.problem, said.transient)
        steps = [line for line in reply.text.splitlines() if line.strip()]
        pairs = [asked(CONTRADICTS.format(step=s, other=t)) for s in steps for t in thoughts[1:]]
        said_of = model.loglikelihood([(pair, ("Yes", "No")) for pair in pairs])
        shares = [shares_of(one) for one in said_of]
        likely = model.loglikelihood([(asked(f"{question}\n{thoughts[0]}"), answers)])[0]
        shares += [shares_of([one]) for one in likely]  # whose number alone is looked at below
        if failed := next((one for one in shares if one.reason), None):
            return failed
        if not steps:
            return Answer((), "no steps were written")
        shares = shares[: len(pairs)]
        nats = sum(-one.logprob / max(one.tokens, 1) for one in likely) / len(likely)
        parts = (sum(one.shares[0] for one in shares) / len(shares), 1 - math.exp(-nats),
                 sindex(answers) / math.log(max(len(answers), 2)),
                 lost(thoughts[0], "\n".join(steps)))  # fmt: skip
        return answers[0], min(1.0, max(0.0, sum(parts) / 4))
