"""Each kind as a page of PyTorch, without a library: what benchmarks/training.py measures against.

Padded batches, the model's own forward pass, fused AdamW, clipping. Leaves out everything a stage
has besides: checks, checkpoints, logs, guards.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812

from whyfirst.train.plan import make_plan, make_prompt_plan
from whyfirst.train.ppo import maths
from whyfirst.train.weights import load_model, load_scorer, load_tokenizer


def load(folder: Path, opened: Callable[..., Any] = load_model) -> tuple[Any, Any, Any]:
    """The base with its tokenizer and an optimizer."""
    torch.manual_seed(0)
    model = opened(folder / "base")
    model.config.pad_token_id = 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    return load_tokenizer(folder / "base"), model.train(), optimizer


def _step(model: Any, optimizer: Any, loss: torch.Tensor) -> None:
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def _encode(tokenizer: Any, texts: Sequence[str], end: bool = True) -> list[list[int]]:
    tail = [tokenizer.eos_token_id] * end
    return [ids + tail for ids in tokenizer(list(texts))["input_ids"]]


def pad(
    rows: Sequence[list[int]], masked: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, attention mask and labels (-100 on padding and the first `masked` tokens), (B, T)."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for at, (row, first) in enumerate(zip(rows, masked, strict=True)):
        ids[at, : len(row)] = torch.tensor(row)
        labels[at, first : len(row)] = ids[at, first : len(row)]
        mask[at, : len(row)] = 1
    return ids, mask, labels


def encoded(case: Any, tokenizer: Any) -> tuple[list[list[int]], list[int]]:
    """Ids of explain's and sft's rows, and how many of each aren't trained on."""
    prompts = [0] * len(case.rows)
    if case.name == "sft":
        prompts = list(map(len, _encode(tokenizer, [r["prompt"] for r in case.rows], end=False)))
    return _encode(tokenizer, ["".join(row.values()) for row in case.rows]), prompts


def tokens(case: Any, folder: Path) -> float:
    """explain and sft: the model's own loss."""
    tokenizer, model, optimizer = load(folder)
    ids, prompts = encoded(case, tokenizer)
    seen = 0
    for update in make_plan(case.config, list(map(len, ids)), [], 0).updates:
        # Packed rows hold several documents: here each has a line of its own.
        chosen = [i for row in update for i in row]
        batch = pad([ids[i] for i in chosen], [prompts[i] for i in chosen])
        _step(model, optimizer, model(batch[0], attention_mask=batch[1], labels=batch[2]).loss)
        seen += sum(len(ids[i]) for i in chosen)
    model.save_pretrained(folder / "plain")
    return seen


def _pairs(case: Any, tokenizer: Any) -> tuple[list[list[list[int]]], list[int]]:
    prompts = _encode(tokenizer, [row["prompt"] for row in case.rows], end=False)
    sides = [
        _encode(tokenizer, [row[side] for row in case.rows]) for side in ("chosen", "rejected")
    ]
    return [[p + s for p, s in zip(prompts, side, strict=True)] for side in sides], [
        len(p) for p in prompts
    ]


def dpo(case: Any, folder: Path) -> float:
    """-log sigmoid(beta (rho(chosen) - rho(rejected)))."""
    tokenizer, model, optimizer = load(folder)
    reference = load_model(folder / "base").eval()
    sides, prompts = _pairs(case, tokenizer)

    def logp(which: Any, ids: Any, mask: Any, labels: Any) -> torch.Tensor:
        logits = which(ids, attention_mask=mask).logits[:, :-1].float()
        nll = F.cross_entropy(logits.transpose(1, 2), labels[:, 1:], reduction="none")
        return -nll.sum(1)

    seen = 0
    for update in make_plan(case.config, [len(row) for row in sides[0]], [], 0).updates:
        chosen = [i for (i,) in update]
        rows = [side[i] for side in sides for i in chosen]
        batch = pad(rows, [prompts[i] for i in chosen] * 2)
        with torch.no_grad():
            before = logp(reference, *batch)
        rho = logp(model, *batch) - before
        good, bad = rho.chunk(2)
        _step(model, optimizer, -F.logsigmoid(case.config.beta * (good - bad)).mean())
        seen += sum(map(len, rows))
    model.save_pretrained(folder / "plain")
    return seen


def reward(case: Any, folder: Path) -> float:
    """-log sigmoid(r(chosen) - r(rejected)) + c (r(chosen) + r(rejected))^2."""
    tokenizer, model, optimizer = load(folder, load_scorer)
    sides, _ = _pairs(case, tokenizer)
    seen = 0
    for update in make_plan(case.config, [len(row) for row in sides[0]], [], 0).updates:
        rows = [side[i] for side in sides for (i,) in update]
        ids, mask, _ = pad(rows, [0] * len(rows))
        good, bad = model(ids, attention_mask=mask).logits[:, 0].float().chunk(2)
        centred = case.config.center_rewards_coefficient * ((good + bad) ** 2).mean()
        _step(model, optimizer, -F.logsigmoid(good - bad).mean() + centred)
        seen += sum(map(len, rows))
    model.save_pretrained(folder / "plain")
    return seen


def ppo(case: Any, folder: Path) -> float:
    """A shared critic, generation by transformers, GAE, clipping, four passes of minibatches."""
    config = case.config
    tokenizer, model, _ = load(folder)
    reference = load_model(folder / "base").eval()
    head = torch.nn.Linear(model.config.hidden_size, 1)
    both = torch.nn.ModuleList([model, head])
    optimizer = torch.optim.AdamW(both.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    prompts = _encode(tokenizer, [row["prompt"] for row in case.rows], end=False)
    seen = 0

    def forward(which: Any, ids: Any, mask: Any, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        out = which(ids, attention_mask=mask, position_ids=places, output_hidden_states=True)
        logits = out.logits[:, -width - 1 : -1].float().log_softmax(-1)
        logp = logits.gather(-1, ids[:, -width:, None])[..., 0]
        return logp, head(out.hidden_states[-1][:, -width - 1 : -1])[..., 0]

    for update in make_prompt_plan(config, len(prompts), 0).updates:
        rows = [prompts[i] for (i,) in update]
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        with torch.no_grad():
            ids = model.eval().generate(
                ids, attention_mask=mask, do_sample=True, max_new_tokens=config.max_new_tokens,
                top_k=0, pad_token_id=0,
            )  # fmt: skip
            said = ids[:, width:]
            ended = (said == tokenizer.eos_token_id).cumsum(1)
            kept = ((ended == 0) | ((ended == 1) & (said == tokenizer.eos_token_id))).float()
            mask = torch.cat([mask, kept.long()], 1)
            old, value = forward(model, ids, mask, said.shape[1])
            ref, _ = forward(reference, ids, mask, said.shape[1])
        texts = tokenizer.batch_decode(said, skip_special_tokens=True)
        scores = torch.tensor([_repeated(text.split()) for text in texts])
        rewards = maths.token_rewards(scores, (old - ref) * kept, kept, config.kl_coefficient)
        advantage, returns = maths.gae(rewards, value, kept, config.gamma, config.lam)
        advantage = maths.whiten(advantage, kept)
        for epoch in range(config.ppo_epochs):
            order = torch.tensor(random.Random(epoch).sample(range(len(rows)), len(rows)))
            for part in order.split(config.minibatch_size):
                new, now = forward(model, ids[part], mask[part], said.shape[1])
                policy, _ = maths.policy_loss(new, old[part], advantage[part], config.clip)
                critic, _ = maths.value_loss(now, value[part], returns[part], config.value_clip)
                loss = (policy + config.value_coefficient * critic) * kept[part]
                _step(both, optimizer, loss.sum() / kept[part].sum())
        seen += sum(map(len, rows)) + int(kept.sum())
    model.save_pretrained(folder / "plain")
    return seen


def _repeated(words: list[str]) -> float:
    grams = [tuple(words[at : at + 3]) for at in range(len(words) - 2)]
    return len(set(grams)) / len(grams) - 1 if grams else 0.0


PLAIN: dict[str, Callable[[Any, Path], float]] = {
    "explain": tokens, "explain_packed": tokens, "sft": tokens, "dpo": dpo, "reward": reward,
    "ppo": ppo,
}  # fmt: skip
