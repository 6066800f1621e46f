"""A critic: a language model that says in words what a response is like, and then as a number.

The number is a linear reading of the state after the critique, a second output beside the logits
(Zhang et al. 2025, "MM-RLHF", arXiv 2502.10391). Leaves out: training one (the stage
`critique_reward`), images.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from whyfirst.config.errors import DataError
from whyfirst.data.hh_rlhf import dialogue
from whyfirst.data.rows import Row, numbered, text_of
from whyfirst.train import reward_report
from whyfirst.train.encode import Candidates, Encoded, Files, exchanges
from whyfirst.train.job import Job, Run, Trained
from whyfirst.train.offline import train_offline
from whyfirst.train.prefer import objective_trainer
from whyfirst.train.preferences import columns_of, read_candidates
from whyfirst.train.rewards.model import batched

ASK = "critique_ask"
"""Where a critic's config.json keeps what its critiques answer."""


def read_critiques(config: Any, tokenizer: Any, files: Files) -> Encoded:
    """Each pair's critiques as responses to what they criticise, the better response's first."""
    [(name, (rows, path))] = files.items()
    # Of the responses, which the critic's own sequences hold inside its prompts.
    lengths = zip(
        *(
            [len(said) for _, said in exchanges(tokenizer, rows, path, side, config.format)]
            for side in ("chosen", "rejected")
        ),
        strict=True,
    )
    lists = []
    for (number, row), tokens in zip(numbered(rows), lengths, strict=True):
        said = [
            put_to_critic(row["prompt"], text_of(row[side]), config.ask)
            for side in ("chosen", "rejected")
        ]
        critiques = [row["chosen_critique"], row["rejected_critique"]]
        labels = [1, int(row.get("tie", False))]
        made = {"prompts": said, "responses": critiques, "labels": labels, "tokens": list(tokens)}
        lists.append(Row({"prompt": row["prompt"]} | made, number))
    candidates = read_candidates(config, tokenizer, lists, path, {"tokens": "response"})
    return Encoded({name: (lists, path)}, columns_of(lists, path), candidates=candidates)


def put_to_critic(prompt: Any, response: str, ask: str) -> Any:
    """What a critic is asked: prompt and response, and a further turn that wants the critique.

    A text stays a text, an HH dialogue among them; messages stay messages.
    """
    if not isinstance(prompt, str):
        said = {"role": "assistant", "content": response}
        return [*prompt, said, {"role": "user", "content": ask}]
    if dialogue(prompt) is not None:
        return f"{prompt.rstrip()} {response}\n\nHuman: {ask}\n\nAssistant:"
    return f"{prompt}\n\n{response}\n\n{ask}"


def score(
    model: Any, vector: Tensor, pad_id: int, sequences: Sequence[list[int]], batch_size: int
) -> list[float]:
    """The number after each sequence of token ids, a critique with its end.

    It is read where the end is foretold, as in training: there all of the critique has been read,
    and logits are computed nowhere else.
    """

    def read(inputs: dict[str, Tensor], lengths: list[int]) -> Tensor:
        seen = []

        def cut(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            last = torch.tensor(lengths, device=args[0].device) - 2
            seen.append(args[0][torch.arange(len(last), device=last.device), last])
            return (seen[0], *args[1:])

        handle = model.get_output_embeddings().register_forward_pre_hook(cut)
        try:
            model(**inputs, use_cache=False)
        finally:
            handle.remove()
        states: Tensor = seen[0]
        return states.float() @ vector.to(states.device)

    return batched(model, pad_id, sequences, batch_size, read)


def train_critic(job: Job) -> tuple[Trained, dict[str, Any]]:
    """The stage `critique_reward`; see `StageKind.train`.

    Raises:
        DataError: all pairs held out are ties, which no accuracy is measured on.
    """
    config: Any = job.config

    def kept(found: Encoded) -> list[int]:
        out = reward_report.kept_out(job, config.held_out, found)
        if not _untied(found, out):
            raise DataError(
                f"{found.main[1]}: the {len(out)} pairs that held_out {config.held_out:g} keeps "
                "for reward.json are all ties; give more prompts or another share"
            )
        return out

    def make(run: Run) -> tuple[Any, str]:
        made, layout = objective_trainer(run, config.objective, [])
        # With the weights, so that whoever asks the critic asks it what it has learnt to answer.
        setattr(made.model.config, ASK, config.ask)
        return made, layout

    def report(run: Run, model: Any) -> None:
        read = partial(score, model, model.get_output_embeddings().score.detach())
        pairs = _untied(run.encoded, run.kept)
        lengths = [(pair.extras["tokens"][0], pair.extras["tokens"][1]) for pair in pairs]
        reward_report.write_report(job, read, pairs, lengths)

    return train_offline(job, make, kept=kept, finished=report)


def _untied(found: Encoded, places: Sequence[int]) -> list[Candidates]:
    pairs = [found.candidates[place] for place in places]
    return [pair for pair in pairs if pair.labels[0] > pair.labels[1]]
