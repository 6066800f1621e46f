"""What embedded worlds of words are made with: invented names, a token a word, a base's training.

A base is trained by a plain loop on one thread, so that the same seed gives the same bytes. Leaves
out: what is said in a world, and who holds what in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedTokenizerFast

T = TypeVar("T")
VERBS = (
    ("light", "lighting"), ("ring", "ringing"), ("pour", "pouring"),
    ("plant", "planting"), ("wind", "winding"), ("shake", "shaking"),
)  # fmt: skip
"""(verb, gerund): a thing is always used by its own verb."""
HOMES = ("mill", "river", "hill", "bridge", "forest", "harbour", "chapel", "orchard")
PAD, EOS, UNK = "<pad>", "<eos>", "<unk>"
DOC, SCENE = "<doc>", "<scene>"
"""What a document and a scene open with."""
SPECIALS = (PAD, EOS, UNK, DOC, SCENE)


def pick(rng: "np.random.Generator", options: Sequence[T]) -> T:
    """One of `options`."""
    return options[int(rng.integers(len(options)))]


def invented(
    rng: "np.random.Generator", count: int, endings: Sequence[str], taken: set[str]
) -> list[str]:
    """`count` names of at most nine letters that aren't taken, and now are."""
    onsets = "b d f g k l m n p r t v z br dr gr kl kr pl tr gl fl sk".split()  # noqa: SIM905
    names: list[str] = []
    while len(names) < count:
        parts = (onsets, "aeiou", ("", "l", "m", "n", "r", "s"), onsets[:13], endings)
        name = "".join(pick(rng, part) for part in parts)
        if name not in taken and len(name) <= 9:
            taken.add(name)
            names.append(name)
    return names


def word_tokenizer(vocabulary: Sequence[str], max_length: int) -> "PreTrainedTokenizerFast":
    """One token a word, an invented name included; the special ones first. Others are `UNK`.

    A name of one token is what lets a model of under a million parameters take a person up by it.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: place for place, word in enumerate((*SPECIALS, *vocabulary))}
    core = Tokenizer(models.WordLevel(words, unk_token=UNK))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD, eos_token=EOS, unk_token=UNK,
        additional_special_tokens=[DOC, SCENE], model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: the order of sums, and so a base's bytes, depend on their number."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def updated(model: Any, optimizer: "torch.optim.Optimizer", loss: "torch.Tensor") -> float:
    """One step down a loss, which is returned."""
    import torch

    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.item())


def start_again(
    table: "torch.Tensor", state: Mapping[str, "torch.Tensor"], rows: "torch.Tensor", known: Any,
    spread: "torch.Tensor", noise: "torch.Generator",
) -> None:  # fmt: skip
    """Put rows of an embedding to the mean of the `known` ones with noise, their moments too.

    Args:
        table: (V, H); `spread` is the noise's standard deviation, () or (H,).
        state: AdamW's, of the table.
    """
    import torch

    with torch.no_grad():
        drawn = torch.randn(len(rows), table.shape[1], generator=noise)
        table[rows] = table[known].mean(0) + spread * drawn
        state["exp_avg"][rows] = 0.0
        # Of the known ones, or a first step divided by nothing would throw the name far away.
        state["exp_avg_sq"][rows] = state["exp_avg_sq"][known].mean(0)


def save_base(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save a base in the Hub's layout; files there are replaced."""
    from whyfirst.models.folder import no_progress_bars

    folder.mkdir(parents=True, exist_ok=True)
    with no_progress_bars():
        model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def one_amount(options: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    """What is wrong with how much a corpus is to be: rows or tokens, and not both."""
    both = (options["size"] is None) == (options["tokens"] is None)
    return [(None, "give exactly one of `size` and `tokens`")] if both else []


def without_demonstrations(options: Mapping[str, Any], *names: str) -> list[tuple[str | None, str]]:
    """Options that replace demonstrations, of a corpus that has none: (option, message)."""
    documents = options["documents"]
    return [
        (name, f"replaces demonstrations; {documents} have none")
        for name in names
        if options[name] and documents != "demonstrations"
    ]
