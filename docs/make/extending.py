"""Writes docs/extending.md from the methods that tests/plugins/ holds and runs.

``python docs/make/extending.py``; a test fails when the page and the files differ.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"
PLUGINS = ROOT / "tests" / "plugins"
STUDY = PLUGINS / "study.yaml"


@dataclass(frozen=True)
class Kind:
    """A kind of method.

    Args:
        file: of the example, under tests/plugins/.
        word: what the study's lines about it hold.
        about: what such a function is given and gives, and what else there is to know.
    """

    title: str
    file: str
    word: str
    about: str


KINDS = (
    Kind(
        "An objective", "methods/robust_dpo.py", "robust_dpo",
        "`(scores: SequenceScores, *, options) -> Tensor (B,)`: a loss for each prompt, from the "
        "log-probabilities of its K responses under the policy and any number of frozen references."
        " Batches, references, LoRA, several processes and resuming are the `prefer` stage's. Facts"
        " of the entry say what it needs: `references` (0: none is loaded), `responses`, `columns` "
        "(see `whyfirst.train.objectives`).",
    ),
    Kind(
        "A reward", "methods/gives_reason.py", "gives_reason",
        "TRL's signature: lists of prompts, completions and token ids, and the prompt file's "
        "columns by name; a number for each response, or None where it can't be scored. A column "
        "that stands among the parameters without a default is one the file must have.",
    ),
    Kind(
        "A decoding", "methods/shortest_of_n.py", "shortest_of_n",
        "`(model: LanguageModel, *, options) -> LanguageModel`. A `Dialogue` runs all prompts' "
        "scripts side by side and asks in batches; calls, tokens and seconds are counted for the "
        "report. With a budget of nothing a decoding is the model it wraps.",
    ),
    Kind(
        "An edit", "methods/scale_mlp.py", "scale_mlp",
        "`(model: LocalModel, *, options) -> ContextManager`: in place while the arm answers, and "
        "gone without a trace afterwards.",
    ),
    Kind(
        "A surgery", "methods/trim_changes.py", "trim_changes",
        "`(model, reference, *, options) -> model`: weights to weights, in a stage of kind "
        "`recover`; the reference is the study's base, an earlier stage's model or a folder. One "
        "that asks for `rows` by a keyword-only parameter is given the stage's data, and "
        "`tokenizer`.",
    ),
    Kind(
        "A benchmark", "methods/to_the_point.py", "to_the_point",
        "A function of its options that reads its data and gives a `Task`, mostly `Responses`: "
        "items, asked once, and what scores them. Each metric declares which way is good, what a "
        "pass and a fail mean in words, and what it misleads without; options of type `Path` are "
        "files, and their content counts in the fingerprint.",
    ),
    Kind(
        "An attack", "methods/past_tense.py", "past_tense",
        "A function of its options that gives an `Attack`: `text` rewrites the request, `turns` "
        "ends a conversation with it. The benchmarks `jailbreak` and `readings` name it among "
        "their `framings`, with the value of its first option after a colon, and compositions with "
        "others: `past_tense+base64`.",
    ),
    Kind(
        "A scorer", "methods/mentions.py", "mentions",
        "One response: pass, fail, or unscored with a reason. An answer that failed, or was cut off"
        " inside its thoughts, never reaches `read`. Benchmarks ask for a scorer by its `question`;"
        " one that asks a model takes it as the parameter `model`.",
    ),
    Kind(
        "A judge", "methods/varied.py", "varied",
        "Two responses to one prompt: a, b, a tie, or none with a reason. A judge that could favour"
        " a slot asks both orders itself (`both_orders`); `scores`, where it gives them, are what "
        "calibrations work on. One that asks a model takes it as the parameter `model`.",
    ),
    Kind(
        "A calibration", "package/whyfirst_length_guard.py", "length_guard",
        "`(judge: Judge, *, options) -> Judge`. Raise the version whenever the same pair could get "
        "another preference. This one is installed as a package: see below.",
    ),
    Kind(
        "A probe", "methods/stream_norm.py", "stream_norm",
        "`(arms, items, options, progress) -> Findings`: measures with intervals over seeds. `arms`"
        " gives models, activations, answers and log-odds by arm and seed, each computed once for "
        "all probes of a run.",
    ),
    Kind(
        "A transform", "methods/one_a_prompt.py", "one_a_prompt",
        "`(rows, rng, *, options) -> rows`: relabels, drops, mixes or orders rows. Nothing is "
        "dropped without `left_out`. `whyfirst list transforms` shows it.",
    ),
    Kind(
        "A selector", "methods/longest.py", "longest",
        "`(rows, n, *, options) -> list[int]`: the indices of the rows to keep, ascending. What it "
        "asks for among `model`, `embed` and `seed` it is given.",
    ),
    Kind(
        "A corpus source", "methods/csv_file.py", "csv",
        "A function of its options that gives the rows a stage trains on. `affects_output` marks "
        "options that decide the rows; a `Path` is a file of the study and counts by its content.",
    ),
    Kind(
        "A world", "methods/street.py", "street",
        "A function of its options (`seed` first) that gives a `World`: what of it counts in "
        "fingerprints, its values, where its base model is or how it is built, and what its models "
        "are probed on. The facts `corpora` and `benchmarks` of the entry name what is about it; a "
        "study says `world: {name: street, seed: 2}`.",
    ),
)  # fmt: skip
HEAD = """# Methods of one's own

Everything that can be named in a study file can be added from outside: **one file**, named under
`plugins:` in the study (or with `--plugin FILE` on the command line), and nothing else touched. The
function's keyword-only parameters are the method's options: typed, checked with file and line
before anything runs, and part of the fingerprint, as is the file's source: with a sign flipped in
it, `whyfirst study status` says what is stale. `whyfirst list KIND` shows what is there.

The examples are whole and tested: [tests/plugins/study.yaml](../tests/plugins/study.yaml) names
them and runs from there to the report. This page is made from them by
`python docs/make/extending.py`; change those and not this page.

What the decorator may say beside the name: `version` (raised whenever the same options and inputs
would give other results), `paper`, `licence`, `needs`, `tested` (what its tests hold it to). The
module's docstring ends with what the method leaves out; both stand in `whyfirst list KIND`.
"""


def code(language: str, text: str) -> str:
    """A fenced block."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def page() -> str:
    """The whole page."""
    study = STUDY.read_text(encoding="utf-8").splitlines()
    listed = [f"[{k.title.split(' ', 1)[1]}](#{k.title.lower().replace(' ', '-')})" for k in KINDS]
    parts = [HEAD, "Kinds: " + ", ".join(listed) + ".\n"]
    for kind in KINDS:
        text = (PLUGINS / kind.file).read_text(encoding="utf-8")
        used = [line.strip() for line in study if kind.word in line and ".py" not in line]
        parts += [f"## {kind.title}\n", kind.about + "\n", code("python", text)]
        if used:
            parts += ["In the study:\n", code("yaml", "\n".join(used))]
    built = (PLUGINS / "package" / "pyproject.toml").read_text(encoding="utf-8")
    parts += [
        "## As a package\n",
        "For methods that others should install, an entry point in the group `whyfirst.KIND` takes "
        "the place of `plugins:`. A package that fails to load takes nothing down; it is named "
        "where something is missing.\n",
        code("toml", built),
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
