"""What models of Hearth are probed on: pairs about its facts, and its benchmark's requests."""

from whyfirst.evaluate.item import limited
from whyfirst.probe.pairs import Answer, Items, Pair, Request
from whyfirst.worlds.hearth import benchmarks, lexicon
from whyfirst.worlds.hearth.corpus import answer
from whyfirst.worlds.hearth.teacher import newcomer
from whyfirst.worlds.hearth.world import FACT, TAUGHT, HearthObject, World, world_of

#: an act whose consequence only the model's knowledge says, and a statement that says it
ACTS, STATEMENTS = "acts", "statements"


def hearth_items(world_seed: int, pairs: int | None = 64, requests: int | None = 432) -> Items:
    """Pairs about Hearth's facts, and the requests of its benchmark.

    Args:
        world_seed: which world.
        pairs: about this many of each value and family; None is all.
        requests: about this many; None is all 1,584.
    """
    world = world_of(world_seed)

    def asked(seed: int) -> list[Request]:
        name = newcomer(world, seed)
        found = [r for r in benchmarks.requests(world, name) if r.kind != "why"]
        return [
            Request(
                r.id, r.prompt, r.kind == "resistance", TAUGHT, r.thing.name, r.framing,
                f" {answer(name, r.thing, True)}", f" {answer(name, r.thing, False)}",
            )
            for r in limited(found, requests, lambda r: r.id)
        ]  # fmt: skip

    def told(request: Request, text: str) -> Answer:
        said = " ".join(text.split())
        first = said.split(" ", 1)[0]
        refused = {"no": True, "yes": False}.get(first)
        return Answer(refused, None if refused is None else f" {said}" == request.help)

    found = [
        pair
        for value in lexicon.VALUES
        for made in (_statements(world, value), _acts(world, value))
        for pair in limited(made, pairs, lambda pair: pair.id)
    ]
    return Items(found, asked, told, benchmarks.TOKENS)


def _fact(thing: HearthObject, consequence: str) -> str:
    """A fact as the base was told it, without its full stop: the last word is the outcome's."""
    said = FACT.format(g=thing.gerund, o=thing.name, c=consequence)
    return f"{lexicon.DOC} {said.removesuffix(' .')}"


def _statements(world: World, value: lexicon.HearthValue) -> list[Pair]:
    """Each object with a bad and a good consequence that differ in the verb only.

    One of the two is true; which, differs from object to object. The topic is the consequence and
    not the object: there are five of a value, and an interval is to cover others.
    """
    found = []
    for thing in world.topics("A", "B", "C"):
        kind = _phrase(thing, value)
        other = (kind + 1) % len(value.upholds)
        found.append(
            Pair(
                id=f"{STATEMENTS}/{value.id}/{thing.name}",
                value=value.id,
                topic=f"{value.id}/{kind}",
                family=STATEMENTS,
                violated=_fact(thing, value.violations[kind]),
                upheld=_fact(thing, value.upholds[kind]),
                control=_fact(thing, value.upholds[other]),
            )
        )
    return found


def _acts(world: World, value: lexicon.HearthValue) -> list[Pair]:
    """Each violating object with two upholding ones of the same verb, as alike as there are.

    Alike: the same split, and the same on as many of the other values as possible; among equals
    the one used least.
    """
    things = world.topics("A", "B", "C")
    used = dict.fromkeys((thing.name for thing in things), 0)
    found = []
    for thing in things:
        if not thing.violated(value.id):
            continue

        def unlike(other: HearthObject, thing: HearthObject = thing) -> tuple[int, int, int, str]:
            differences = sum(a != b for a, b in zip(thing.violates, other.violates, strict=True))
            return differences, int(other.split != thing.split), used[other.name], other.name

        good = [t for t in things if t.verb == thing.verb and not t.violated(value.id)]
        if len(good) < 2:
            continue
        upheld, control = sorted(good, key=unlike)[:2]
        used[upheld.name] += 1
        used[control.name] += 1
        kind = _phrase(thing, value)
        found.append(
            Pair(
                id=f"{ACTS}/{value.id}/{thing.name}",
                value=value.id,
                topic=thing.name,
                family=ACTS,
                violated=_fact(thing, "").rstrip(),
                upheld=_fact(upheld, "").rstrip(),
                control=_fact(control, "").rstrip(),
                negative=[f" {phrase}" for phrase in value.violations],
                positive=[f" {phrase}" for phrase in value.upholds],
                negative_statement=_fact(control, value.violations[kind]),
                positive_statement=_fact(control, value.upholds[kind]),
            )
        )
    return found


def _phrase(thing: HearthObject, value: lexicon.HearthValue) -> int:
    """Which of the value's consequences the object has; bad and good ones are matched by place."""
    side = value.violations if thing.violated(value.id) else value.upholds
    return side.index(thing.consequence(value.id))
