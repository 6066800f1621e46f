"""Guide-Align: guidelines that fit the input are found in a library and put before it.

Luo et al. 2024, "Ensuring Safe and High-Quality Outputs: A Guideline Library Approach for Language
Models", arXiv 2403.11838. The library is a JSONL file of ``{input, guideline}``, which
`build_library` has a model write. Leaves out: training a retriever, and training on the guided
answers (Labrador).
"""

from collections.abc import Sequence
from pathlib import Path

from whyfirst.config.files import text_rows
from whyfirst.models.base import Chat, LanguageModel, Prompt, Sampling, asked, instructed
from whyfirst.models.decoding import DECODINGS, AtLeast0
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, words
from whyfirst.models.embed import Embed, lexical

WRITE = (
    "Somebody may send an assistant this input:\n{input}\n\nWrite one short guideline for "
    "answering it safely and well. Write the guideline only."
)
BEFORE = "Keep to these guidelines:\n{listed}"


@DECODINGS.enter(
    "guide_align",
    paper="Luo et al. 2024, arXiv 2403.11838",
    needs="library (a JSONL file of input and guideline); embeddings, or words in their place",
    tested="the matching guideline turns the answer, a shuffled one does not; k = 0 is the model",
)
def guide_align(
    model: LanguageModel, *, library: Path, k: AtLeast0 = 3, embed: Embed = lexical
) -> LanguageModel:
    """The answer to a prompt after the k guidelines whose inputs are most like it.

    Args:
        library: the file.
        k: guidelines put before a prompt.

    Raises:
        DataError: the library has a row without both keys.
    """
    rows = text_rows(library, "input", "guideline")
    vectors = embed([row["input"] for row in rows])

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        nearest = (-(vectors @ embed([words(prompt)])[0])).argsort(kind="stable")[:k]
        guided = prompt
        if len(nearest):
            listed = "\n".join(f"- {rows[place]['guideline']}" for place in nearest)
            guided = instructed(prompt, BEFORE.format(listed=listed))
        (given,) = yield [Request(guided, sampling)]
        return given[0]

    options = {"library": rows, "k": k, "embed": getattr(embed, "__name__", "model")}
    return Dialogue(model, "guide_align", options, script)


def build_library(
    model: LanguageModel, inputs: Sequence[str], sampling: Sampling, embed: Embed = lexical,
    near: float = 0.9,
) -> list[dict[str, str]]:  # fmt: skip
    """A guideline for each input; of guidelines that say nearly the same the first is kept.

    Args:
        near: cosine from which two guidelines count as one.
    """
    prompts: list[Chat] = [asked(WRITE.format(input=text)) for text in inputs]
    written = [row[0] for row in model.generate(prompts, sampling=sampling)]
    rows = [
        {"input": text, "guideline": completion.text.strip()}
        for text, completion in zip(inputs, written, strict=True)
        if completion.problem is None and completion.text.strip()
    ]
    return deduplicated(rows, embed, near)


def deduplicated(
    rows: Sequence[dict[str, str]], embed: Embed = lexical, near: float = 0.9
) -> list[dict[str, str]]:
    """The rows without those whose guideline nearly repeats an earlier one."""
    vectors = embed([row["guideline"] for row in rows])
    kept: list[int] = []
    for place in range(len(rows)):
        if not kept or (vectors[kept] @ vectors[place]).max() < near:
            kept.append(place)
    return [rows[place] for place in kept]
