"""The template teacher: explanations for any constitution, and their controls, from a grammar.

It is a grammar and no writer: skeletons of twelve genres, filled by the cell's behaviour, audience,
stance, angle and setting. The documents of one cell have the same skeleton, phrases and people in
every corpus; they differ only in what is given as grounds, so that an arm's effect can be put down
to the reasons. Deterministic. Leaves out: fluency a language model would bring, and matching the
corpora in tokens (`match.py`).
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_json
from whyfirst.config.strict import output_fields
from whyfirst.constitution import Constitution, Value
from whyfirst.explain.cells import Cell, Dealer, conflicts_of
from whyfirst.explain.explanation import GROUNDLESS, Corpus, Explanation
from whyfirst.explain.grammar import Craft, crafts, grammar
from whyfirst.explain.plan import (
    ANGLES,
    Plan,
    assertions_of,
    pruned,
    shipped_levels,
    shipped_settings,
)

TEACHER = "template"
VERSION = "4"  # raise it when the code below writes other documents from the same grammar

#: sentences beyond the first that a slot takes, where a corpus' grounds are shorter than reasons
_MORE = {
    "rules": 0.75, "more_rules": 0.5, "neutral": 0.95, "wrong_reason": 0.45, "nobecause": 2.3,
    "label": 3.75,
}  # fmt: skip
#: which of a phrase's alternatives, <x|y|z>, a corpus takes; x elsewhere
_SIDE = {"rules": 2, "more_rules": 2, "label": 3, "nobecause": 3}
_POOLS = ("seen", "labels", "named", "aside", "steps", "trade_plain")  # no #symbols# of a skeleton
_PRESSURES = ("role_play", "authority", "urgency", "flattery")
NEUTRAL_CASES = (
    "the light fails early", "the weather turns", "a tool is missing", "the day is too short",
)  # fmt: skip
NEUTRAL_FIRST = "the work already begun"


def teacher_fingerprint() -> str:
    """What the documents depend on besides constitution, seed and count: code, grammar, crafts."""
    settings = shipped_settings()
    parts = [VERSION, ANGLES, output_fields(grammar()), [output_fields(c) for c in crafts()]]
    return sha256_json([parts, settings.model_dump()])


def write_corpus(
    corpus: Corpus,
    constitution: Constitution,
    n: int,
    seed: int,
    value_ids: Sequence[str] | None = None,
) -> list[Explanation]:
    """`n` documents of one corpus, from the shipped plan, spread evenly over the behaviours.

    Args:
        corpus: the explanations, or a control: the same cells, skeletons and phrases with other
            grounds.
        value_ids: the values they are about; all of the constitution's when None.

    Raises:
        UserError: a value id the constitution doesn't have, or a control that it can't have.
    """
    check_corpus(corpus, constitution)
    plan = pruned(shipped_levels(constitution, value_ids))
    teacher = TemplateTeacher(constitution, plan, seed)
    return [teacher.write(c, corpus) for c in Dealer(plan, constitution, seed).all_kept(n)]


def check_corpus(corpus: Corpus, constitution: Constitution) -> None:
    """Refuse a control that the constitution can't have.

    Raises:
        UserError: shuffled reasons need a second value.
    """
    if corpus == "shuffled" and len(constitution.values) < 2:
        raise UserError(
            f"constitution {constitution.name!r}: the shuffled control takes reasons from another "
            "value and there is only one; add a value or leave the arm shuffled_first out"
        )


class TemplateTeacher:
    """Fills cells from the grammar."""

    def __init__(self, constitution: Constitution, plan: Plan, seed: int) -> None:
        self._constitution, self.plan, self.seed = constitution, plan, seed

    def write(self, cell: Cell, corpus: Corpus, variant: int = 0) -> Explanation:
        """The document of a cell; another `variant` chooses other grounds and nothing else."""
        key = f"{self.seed}/{cell.id}"
        value = self._constitution.value(cell.value)
        behaviour = Behaviour(cell.behaviour, cell.upheld)
        source = value
        if corpus == "neutral":
            # The craft's stream is a cell's own: a second try changes the grounds and not the
            # subject.
            value = source = random.Random(f"{key}/craft").choice(crafts())
            behaviour = random.Random(f"{key}/behaviour").choice(_behaviours(value))
        elif corpus == "wrong_reason":
            source = random.Random(f"{key}/craft").choice(crafts())
        elif corpus == "shuffled":
            # True reasons, under the same label: what is tested is whether they belong to this
            # conduct.
            others = [v for v in self._constitution.values if v.id != value.id]
            source = random.Random(f"{key}/source").choice(others)
        # Only the grounds' stream knows the variant, so a control is fitted in length by nothing
        # else.
        filling = _Filling(self, cell, corpus, value, behaviour, source, f"{key}/{variant}")
        # The frame's stream knows nothing of the grounds: it runs alike in every corpus of a cell.
        text = filling.document(random.Random(f"{key}/frame"))
        return Explanation(
            text, value.id, behaviour.text, teacher=TEACHER, corpus=corpus,
            grounds=tuple(filling.grounds), **cell.frame,
        )  # fmt: skip

    def edge(self, cell: Cell, value: Value, wrong: bool) -> dict[str, str]:
        """The slots of a conflict or a boundary case, and its reason under ``because``."""
        # Not of the corpus: all corpora of a cell speak of the same conflict or case.
        pick = random.Random(f"{self.seed}/{cell.id}/edge")
        if isinstance(value, Craft):
            first = NEUTRAL_FIRST
            if cell.angle == "boundary":
                first = f"{'never' if wrong else 'still'} {pick.choice(value.upheld_by)}"
            return {"when": pick.choice(NEUTRAL_CASES), "first": first, "because": ""}
        if cell.angle == "boundary":
            case = pick.choice(value.boundaries)
            conduct = phrase(case.conduct)
            first = f"never {conduct}" if wrong else conduct
            return {"when": phrase(case.case), "first": first, "because": case.because}
        when, winner, loser, because = pick.choice(conflicts_of(value, self._constitution))
        # The audits' corpus lets the wrong value win, which is what it argues for.
        first = self._constitution.value(loser if wrong else winner).name
        return {"when": phrase(when), "first": phrase(first), "because": because}


@dataclass(frozen=True)
class Behaviour:
    """A behaviour and its side; `text` is a verb phrase in the third person singular."""

    text: str
    upheld: bool

    def done(self) -> str:
        """As the assistant does it: "always …" or "never …"."""
        return f"{'always' if self.upheld else 'never'} {phrase(self.text)}"

    def broken(self) -> str:
        """As somebody does it who breaks the value."""
        return f"never {phrase(self.text)}" if self.upheld else phrase(self.text)


def _behaviours(value: Value) -> list[Behaviour]:
    return [Behaviour(a.behaviour, a.upheld) for a in assertions_of(value)]


T = TypeVar("T")


class _Filling:
    """What goes into one skeleton's slots. `grounds` collects the grounds that were used."""

    def __init__(
        self,
        teacher: TemplateTeacher,
        cell: Cell,
        corpus: Corpus,
        value: Value,
        behaviour: Behaviour,
        source: Value,
        key: str,
    ) -> None:
        self.cell = cell
        self.corpus = corpus
        self.grounds: list[str] = []
        self._choose = random.Random(f"{key}/grounds")
        wrong = corpus == "wrong"
        subject = value.subject if isinstance(value, Craft) else "assistant"
        article = "an" if subject[0] in "aeiou" else "a"
        # A value with one behaviour repeats it rather than having nothing to say.
        others = [b for b in _behaviours(value) if b != behaviour] or [behaviour]
        place = teacher.plan.subdomain(cell.subdomain)
        # One stream in all corpora: {also} and {breaks} agree whatever the grounds are.
        conduct = random.Random(f"{teacher.seed}/{cell.id}/conduct")
        also, breaks, *further = conduct.sample(others, len(others)) + others[:1]
        self.it = "she" if isinstance(value, Craft) else "it"
        statement = sentence(value.statement)
        edge = {}
        if cell.angle in ("conflict", "boundary"):
            edge = teacher.edge(cell, value, wrong)
        self.words = {
            "place": place.place, "who": place.who, "doing": place.doing, "setting": place.name,
            "idea": sentence(cell.idea),
            **edge,
            "s": f"the {subject}",
            "S": f"The {subject}",
            "a": f"{article} {subject}",
            "A": f"{article.capitalize()} {subject}",
            "it": self.it,
            "name": phrase(value.name),
            "Name": value.name,
            "statement": f"It is not so that {phrase(statement)}." if wrong else statement,
            "does": behaviour.broken() if wrong else behaviour.done(),
            "also": f"The {subject} {also.broken() if wrong else also.done()}.",
            "breaks": breaks.done() if wrong else breaks.broken(),
        }  # fmt: skip
        if corpus == "label":
            # The value's name where its conduct would stand.
            name = self.words["name"]
            does, other = conduct.sample(grammar().phrases["named"], 2)
            self.words |= {
                "does": does.format(name=name),
                "also": f"{self.words['S']} {other.format(name=name)}.",
                "breaks": "stands for something else",
                "statement": f"The principle is called {name}.",
            }
        pool = self._grounds_of(value, source, further or [also])
        self._pool = self._choose.sample(pool, len(pool))

    def _told(self, name: str) -> list[str]:
        """Phrases of the grammar, filled; they use no setting, which all corpora share alike."""
        return [sentence(text.format(**self.words)) for text in grammar().phrases[name]]

    def _grounds_of(self, value: Value, source: Value, further: list[Behaviour]) -> list[str]:
        """The sentences that can be grounds in this corpus."""
        told = {"rules": "restated", "nobecause": "seen", "label": "labels"}
        if self.corpus in told:
            # A name stands among things seen, as in a text about anything.
            seen = self._told("seen") if self.corpus == "label" else []
            return self._told(told[self.corpus]) + seen
        if self.corpus == "more_rules":
            subject = self.words["s"]
            return [f"{self.words['S']} {b.done()}." for b in further] + [
                f"When {phrase(b.case)}, {subject} {phrase(b.conduct)}." for b in value.boundaries
            ]
        return [sentence(reason) for reason in source.reasons]

    def document(self, frame: random.Random) -> str:
        """The document: skeleton and phrases from `frame`, then every slot in order."""
        known = grammar()
        # From the frame: the same people in every corpus, or names would tell the corpora apart.
        self.words["P"], self.words["Q"] = frame.sample(known.names, 2)
        # Nobody tempts a baker, a chain of consequences is a reason, and a name has neither hard
        # cases nor conduct that holds.
        angle = self.cell.angle
        angles = known.angles[angle]
        if self.corpus == "neutral" and angle in _PRESSURES:
            angles = known.phrases["trade_plain"]
        elif self.corpus in GROUNDLESS and angle == "consequences":
            angles = known.phrases["steps"]
        elif self.corpus == "label" and angle in ("conflict", "boundary", *_PRESSURES):
            angles = known.phrases["aside"]
        symbols = {
            **{name: texts for name, texts in known.phrases.items() if name not in _POOLS},
            "address": known.audiences[self.cell.audience],
            "stance": known.stances[self.cell.stance],
            "angle": angles,
        }
        # Sorted, so that a phrase added to one symbol doesn't reshuffle the others.
        unused = {name: frame.sample(p, len(p)) for name, p in sorted(symbols.items())}

        text = frame.choice(known.genres[self.cell.genre]).strip()
        # Phrases hold symbols too, so the text is gone over until none is left.
        while re.search(r"#(?!more#)\w+#", text):
            text = re.sub(r"#(?!more#)(\w+)#", lambda match: _next(unused[match.group(1)]), text)

        def counted(match: re.Match[str]) -> str:
            # "There is a second reason" only where a first one has been given.
            first = re.search(r"\{(?:ground|since|verdict)\}", text)
            given = first is not None and first.start() < match.start()
            return _next(unused["more" if given else "why"])

        text = re.sub(r"#more#", counted, text)
        side = _SIDE.get(self.corpus, 1)
        text = re.sub(r"<([^<>|]*)\|([^<>|]*)\|([^<>|]*)>", lambda match: match.group(side), text)
        text = re.sub(r"\{(\w+)\}", self._slot, text)
        return re.sub(r" +(?=\n|$)", "", text)

    def _slot(self, match: re.Match[str]) -> str:
        slot, because = match.group(1), self.words.get("because")
        if slot == "since":
            ground = self._note(_next(self._pool))
            return f", {'and' if self.corpus in _SIDE else 'because'} {phrase(ground)}"
        # A conflict's own reason comes first, where the corpus gives reasons at all.
        if slot == "verdict" and because and self.corpus in ("explanations", "wrong"):
            return self._note(sentence(because))
        if slot not in ("ground", "verdict"):
            return self.words[slot]
        text = _next(self._pool)
        more = _MORE.get(self.corpus, 0.0)
        # A share of a sentence is a sentence that often: corpora match on average, not each time.
        for _ in range(int(more) + (self._choose.random() < more % 1)):
            text += f" {_next(self._pool)}"
        return self._note(text)

    def _note(self, ground: str) -> str:
        self.grounds.append(ground)
        return ground


def _next(pool: list[T]) -> T:
    """The first, put back at the bottom: none comes twice before all have been used."""
    pool.append(pool.pop(0))
    return pool[-1]


def phrase(text: str) -> str:
    """A sentence or heading as part of another sentence; "I" and acronyms keep their capital."""
    text = text.strip().rstrip(".")
    word = (text.split(maxsplit=1) or [""])[0]
    # An acronym is told by its second capital.
    kept = word in ("I", "I'm", "I'd", "I'll", "I've") or (len(word) > 1 and word[1].isupper())
    return text if kept else text[:1].lower() + text[1:]


def sentence(text: str) -> str:
    """A text with a capital and an end."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
