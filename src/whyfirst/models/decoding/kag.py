"""KAG: questions answered by executing a logical form over a graph, with text where it fails.

Liang et al. 2024, "KAG: Boosting LLMs in Professional Domains via Knowledge Augmented Generation",
arXiv 2409.13731, in its smallest real form: triples with the passages they stand in, four
operators, and a loop of at most three rounds of plan, execution and reflection. The model writes a
form a line, ``x = get(s, p, o)`` (``?`` for what is asked), ``n = count(x)``, ``n = sum(x)``, ``y =
max(x, y)``, ``output(x)``. Leaves out: building the graph from text, and a schema's constraints.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.files import text_rows
from whyfirst.models.base import Completion, LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, AtLeast1
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, rephrased, words
from whyfirst.models.embed import Embed, lexical

PLAN = (
    "{question}\n\nRelations: {relations}.\nKnown so far: {memory}\n"
    "Write the steps that find the answer, one a line, with get(subject, relation, object), count, "
    "sum, max, min and output; ? is what is asked, for example:\n"
    "x = get(Rome, capital_of, ?)\noutput(x)"
)
READ = "{question}\n\nPassages:\n{passages}\n\nAnswer from the passages."
_ROUNDS = 3
_CALL = re.compile(r"^(?:(\w+)\s*=\s*)?(\w+)\((.*)\)$")
_OPERATORS: Mapping[str, Callable[[list[str]], str]] = {
    "count": lambda values: str(len(values)),
    "sum": lambda values: f"{sum(map(float, values)):g}",
    "max": lambda values: f"{max(map(float, values)):g}",
    "min": lambda values: f"{min(map(float, values)):g}",
}
Triple = tuple[str, str, str]


@DECODINGS.enter(
    "kag",
    version="2",
    paper="Liang et al. 2024, arXiv 2409.13731",
    needs="graph (a JSONL file of s, p, o and text); embeddings, or words in their place",
    tested="two hops, counts and comparisons exactly; a missing triple falls back to passages",
)
def kag(
    model: LanguageModel, *, graph: Path, k: AtLeast1 = 3, embed: Embed = lexical
) -> LanguageModel:
    """The answer that the logical form's execution gives, or the model's from passages.

    Args:
        graph: the file; `text` of a row is the passage its triple stands in.
        k: passages read where the form gives nothing.

    Raises:
        DataError: a row lacks s, p or o.
    """
    rows = text_rows(graph, "s", "p", "o")
    triples: list[Triple] = [(row["s"], row["p"], row["o"]) for row in rows]
    passages = [str(row.get("text") or " ".join((row["s"], row["p"], row["o"]))) for row in rows]
    vectors = embed(passages)

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        q, memory = words(prompt), ""
        relations = ", ".join(sorted({p for _, p, _ in triples}))
        for _ in range(_ROUNDS):
            plan = PLAN.format(question=q, relations=relations, memory=memory or "nothing")
            ((said, *_),) = yield [Request(rephrased(prompt, plan), sampling, "planner")]
            answer, memory = execute(said.text, triples)
            if answer:
                return Completion(", ".join(answer), True)
        dialogue.fallbacks["the form gives nothing: passages are read"] += 1
        nearest = (-(vectors @ embed([q])[0])).argsort(kind="stable")[:k]
        listed = "\n".join(f"- {passages[place]}" for place in nearest)
        asked = READ.format(question=q, passages=listed)
        ((final, *_),) = yield [Request(rephrased(prompt, asked), sampling)]
        return final

    options = {"graph": rows, "k": k, "embed": getattr(embed, "__name__", "model")}
    dialogue = Dialogue(model, "kag", options, script)
    return dialogue


def execute(text: str, triples: Sequence[Triple]) -> tuple[list[str], str]:
    """(what `output` names, every variable's value for the next round); wrong lines do nothing."""
    known: dict[str, list[str]] = {}
    output: list[str] = []
    for line in text.splitlines()[:50]:
        match = _CALL.match(line.strip())
        if match is None:
            continue
        name, operator, inside = match.groups()
        arguments = [part.strip().strip("\"'") for part in inside.split(",")]
        values = [value for a in arguments for value in known.get(a, [])]
        if operator == "output":
            output = values
        elif operator == "get" and len(arguments) == 3:
            known[name or "_"] = _get(arguments, known, triples)
        elif operator in _OPERATORS and all(a in known for a in arguments):
            try:
                known[name or "_"] = [_OPERATORS[operator](values)]
            except ValueError:  # nothing to add up, or no numbers
                known[name or "_"] = []
    told = "; ".join(f"{name} = {', '.join(values) or 'nothing'}" for name, values in known.items())
    return output, told


def _get(arguments: list[str], known: Mapping[str, Any], triples: Sequence[Triple]) -> list[str]:
    """Values at the place of ?, of the triples that fit the rest; a variable is any it holds."""
    fits = [None if a == "?" else set(known.get(a, [a])) for a in arguments]
    place = arguments.index("?") if "?" in arguments else 2
    kept = [
        t for t in triples if all(f is None or part in f for f, part in zip(fits, t, strict=True))
    ]
    return list(dict.fromkeys(triple[place] for triple in kept))
