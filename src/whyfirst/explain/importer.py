"""A published specification in Markdown as the skeleton of a constitution.

Every section with a normative sentence (must, should, never …) becomes a value: its heading the
name, its first normative sentence the statement, "The assistant should VERB …" behaviours on the
side they belong to, sentences that argue ("because", "otherwise" …) reasons. What a section doesn't
give is marked ``FILL:`` and refused by the loader until a person has written it. Headings,
normative sentences, examples and cross-references stay with the value as its `source`. Leaves out:
judging whether the text means it, tables, and rewriting.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whyfirst.config.bounded import read_text
from whyfirst.config.errors import DataError
from whyfirst.constitution import FILL

_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*(?:\{([^}]*)\})?\s*#*\s*$")
_FENCE = re.compile(r"^\s*(~~~+|```+)")
_EXAMPLE = re.compile(r"^\s*\*\*Examples?\*\*\s*:?\s*(.*)$")
_ADMONITION = re.compile(r"^!!!\s")
_LIST_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_REFERENCE = re.compile(r"\]\(#([\w-]+)\)")
_LINK = re.compile(r"\[([^\]]*)\]\((#?)[^)]*\)")
_NORMATIVE = re.compile(
    r"\b(must|should|shall|never|always|ought to|may not|is required to|are required to|"
    r"needs? to|do not|don't|don’t)\b",
    re.IGNORECASE,
)
_ARGUES = re.compile(
    r"\b(because|otherwise|so that|in order to|as a result|the reason|could lead|can lead|"
    r"this (?:helps|ensures|allows|protects|matters))\b",
    re.IGNORECASE,
)
_DUTY = re.compile(
    r"^(?:The|An?) (?:assistant|model|AI)\s+(?:should|must|shall|ought to|needs to|may|"
    r"is required to)\s+(?:(?:also|still|generally|typically|usually|instead|always|then)\s+)*"
    r"(?P<no>not|never)?\s*(?P<what>[a-z].*)$"
)
_IMPERATIVE = re.compile(r"^(?:(?P<no>Do not|Don't|Don’t|Never)|Always)?\s*(?P<what>[A-Za-z].*)$")
# Words that a behaviour doesn't begin with.
_NO_VERB = {
    "overview", "general", "specific", "structure", "instructions", "definitions", "the",
    "prohibited", "restricted", "sensitive", "red-line", "under-18", "principles", "a", "an",
    "no", "not", "never", "always", "by", "when", "where", "if", "in", "on", "at", "for", "from",
    "to", "with", "without", "under", "about", "as", "and", "or", "but", "what", "why", "how",
    "who", "other", "all", "any", "its", "their", "this", "these", "that", "those", "both",
}  # fmt: skip
# "Should not only answer" is no ban of answering, and "should not hesitate to" asks for it.
_STILL = re.compile(r"(?:only|merely|just|simply|necessarily|hesitate)\b")
# They end as adverbs do.
_LY_VERBS = {"apply", "reply", "comply", "rely", "supply", "imply", "multiply", "rally", "tally",
             "ally", "bully", "fly"}  # fmt: skip
_LONGEST = 240


@dataclass
class Section:
    """One section's own text (subsections are sections of their own)."""

    title: str
    anchor: str
    line: int
    headings: list[str]
    paragraphs: list[str] = field(default_factory=list)
    examples: list[dict[str, str]] = field(default_factory=list)
    references: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Skeleton:
    """A constitution to be: its data as YAML holds it, and what was left out or is to be filled.

    Attributes:
        data: what goes into the file.
        to_fill: dotted places that a person still has to write.
        without_norms: headings (and their lines) of sections that became no value.
    """

    data: dict[str, Any]
    to_fill: list[str]
    without_norms: list[tuple[int, str]]


def import_markdown(path: Path, name: str) -> Skeleton:
    """Read a specification.

    Raises:
        DataError: the file can't be read as UTF-8, or no section of it has a normative sentence.
    """
    text = read_text(path)
    values: list[dict[str, Any]] = []
    left_out: list[tuple[int, str]] = []
    taken: set[str] = set()
    for section in sections(text):
        value = _value(section, taken)
        if value is None:
            left_out.append((section.line, section.title))
        else:
            values.append(value)
    if not values:
        raise DataError(
            f"{path}: no heading with a sentence that says must, should, never or the like below "
            "it; a specification of that form is what can be imported"
        )
    data = {"name": name, "description": f"Imported from {path.name}.", "values": values}
    to_fill = [
        f"values[{number}].{key}[{place}]"
        for number, value in enumerate(values)
        for key in ("reasons", "upheld_by")
        for place, text in enumerate(value[key])
        if text.startswith(FILL)
    ]
    return Skeleton(data, to_fill, left_out)


def sections(text: str) -> list[Section]:
    """The document's sections in order; headings inside fenced code are not headings."""
    found: list[Section] = []
    stack: list[tuple[int, str]] = []
    for number, kind, content in _blocks(text):
        if kind == "heading":
            match = _HEADING.match(content)
            assert match is not None
            level, title = len(match.group(1)), _plain(match.group(2))
            stack = [(depth, t) for depth, t in stack if depth < level] + [(level, title)]
            anchor = next((w[1:] for w in (match.group(3) or "").split() if w[:1] == "#"), "")
            found.append(Section(title, anchor, number, [t for _, t in stack]))
        elif not found:
            continue
        elif kind == "example":
            found[-1].examples.append({"title": _plain(content), "text": ""})
            found[-1].references += _REFERENCE.findall(content)
        elif kind == "fence":
            # The code after an example's title is that example; any other is one by itself.
            if found[-1].examples and not found[-1].examples[-1]["text"]:
                found[-1].examples[-1]["text"] = content
            else:
                found[-1].examples.append({"title": "", "text": content})
        else:
            found[-1].references += _REFERENCE.findall(content)
            found[-1].paragraphs.append(_plain(content))
    return found


def _blocks(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, kind, content): headings, example titles, fenced code, paragraphs and list items."""
    lines = text.split("\n")
    paragraph: list[str] = []
    begin = 1
    number = 0
    while number < len(lines):
        line = lines[number].rstrip("\r")
        number += 1
        fence = _FENCE.match(line)
        # A paragraph ends at whatever begins something else, with or without an empty line.
        special = fence or _HEADING.match(line) or _EXAMPLE.match(line) or _ADMONITION.match(line)
        if paragraph and (special or not line.strip() or _LIST_ITEM.match(line)):
            yield begin, "text", " ".join(paragraph)
            paragraph = []
        if fence:
            body = []
            while number < len(lines) and not lines[number].strip().startswith(fence.group(1)):
                body.append(lines[number].rstrip("\r"))
                number += 1
            number += 1
            yield begin, "fence", "\n".join(body)
        elif _HEADING.match(line):
            yield number, "heading", line
        elif example := _EXAMPLE.match(line):
            yield number, "example", example.group(1)
        elif line.strip() and not _ADMONITION.match(line):
            if not paragraph:
                begin = number
            paragraph.append(_LIST_ITEM.sub("", line).strip())
    if paragraph:
        yield begin, "text", " ".join(paragraph)


def _plain(text: str) -> str:
    """Markdown's inline marks taken off; a link keeps its words, ``[?](#id)`` becomes the id."""

    def words(match: re.Match[str]) -> str:
        if match.group(1).strip() not in ("", "?"):
            return match.group(1)
        return match.group(0).split("(#")[-1].rstrip(")").replace("_", " ")

    text = re.sub(r"\[\^[^\]]*\]:?", "", text)
    text = _LINK.sub(words, text)
    text = re.sub(r"(\*\*|__|`)(.+?)\1", r"\2", text)
    text = re.sub(r"(?<!\w)([*_])(?=\S)(.+?)(?<=\S)\1(?!\w)", r"\2", text)
    text = re.sub(r"<!--.*?-->", "", text)
    return " ".join(text.split())


def split_sentences(text: str) -> list[str]:
    """Sentences of one paragraph; abbreviations such as "e.g." end none."""
    # The abbreviations' full stops are put out of sight and back again.
    guarded = re.sub(r"\b(e\.g|i\.e|etc|vs|cf|Dr|Mr|Ms|Mrs|U\.S)\.", r"\1․", text)
    parts = re.split(r"(?<=[.!?])[\"”')\]]*\s+(?=[\"“'(\[]?[A-Z0-9])", guarded)
    return [part.replace("․", ".").strip() for part in parts if part.strip()]


def _value(section: Section, taken: set[str]) -> dict[str, Any] | None:
    sentences = [s for paragraph in section.paragraphs for s in split_sentences(paragraph)]
    normative = [s for s in sentences if _NORMATIVE.search(s)]
    if not normative:
        return None
    base = re.sub(r"[^a-z0-9_-]+", "_", (section.anchor or section.title).casefold()).strip("_-")
    base = base if base[:1].isalpha() else f"value_{base}".rstrip("_")
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    upheld, violated = _behaviours(section.title, normative)
    # A sentence that only announces a list says nothing by itself.
    statement = next((s for s in normative if not s.endswith(":")), normative[0])
    reasons = [s for s in sentences if _ARGUES.search(s) and len(s) <= 2 * _LONGEST]
    reasons = _distinct([r for r in reasons if r != statement])
    if not upheld and not violated:
        upheld = [f"{FILL} a verb phrase that follows 'the assistant always'"]
    return {
        "id": name,
        "name": section.title,
        "statement": statement,
        "reasons": reasons or [f"{FILL} why this holds, as a whole sentence"],
        "upheld_by": upheld,
        "violated_by": violated,
        "source": {
            "line": section.line,
            "headings": section.headings,
            "normative": normative,
            "examples": section.examples,
            "references": list(dict.fromkeys(section.references)),
        },
    }


def _behaviours(title: str, normative: list[str]) -> tuple[list[str], list[str]]:
    """Verb phrases that serve and that break the value, each text on one side only."""
    upheld: list[str] = []
    violated: list[str] = []
    # "Avoid flattery" as a heading is a behaviour; "Flattery" and "Overview" are none.
    heading = _IMPERATIVE.match(title)
    what = heading.group("what") if heading else ""
    if heading and len(title.split()) > 1 and _first(what) not in _NO_VERB:
        side = violated if heading.group("no") else upheld
        side.append(third_person(what[:1].lower() + what[1:]))
    for sentence in normative:
        duty = _DUTY.match(sentence)
        # A sentence with a second "should" is two duties, which no verb phrase holds.
        if duty and len(sentence) <= _LONGEST and " should " not in duty.group("what"):
            side, what = violated if duty.group("no") else upheld, duty.group("what")
            if _first(what) in _NO_VERB or (duty.group("no") and _STILL.match(what)):
                # No verb phrase can be made of it: a person reads it and writes one.
                upheld.append(f"{FILL} {sentence}")
            else:
                side.append(third_person(what))
    upheld = _distinct(upheld)
    # The loader refuses a behaviour on both sides, so the first side keeps it.
    seen = {text.casefold() for text in upheld}
    return upheld, [text for text in _distinct(violated) if text.casefold() not in seen]


def _first(phrase: str) -> str:
    """Its first word, as it stands in a list of words."""
    return phrase.split()[0].casefold().strip(",:")


def _distinct(texts: list[str]) -> list[str]:
    """Without repetitions that only case or a full stop tell apart, as the loader sees them."""
    return list({text.strip().rstrip(".").casefold(): text for text in texts}.values())


def third_person(phrase: str) -> str:
    """ "politely push back" as "politely pushes back": the first word that is no adverb."""
    words = phrase.strip().rstrip(".").split()
    for position, word in enumerate(words):
        if word.endswith("ly") and position < len(words) - 1 and word not in _LY_VERBS:
            continue
        words[position] = _conjugated(word)
        # "avoid or censor": a verb joined directly to the first takes its form.
        if words[position + 1 : position + 2] in (["or"], ["and"]) and position + 2 < len(words):
            words[position + 2] = _conjugated(words[position + 2])
        break
    return " ".join(words)


def _conjugated(verb: str) -> str:
    bare, comma = verb.rstrip(","), "," * verb.endswith(",")
    irregular = {"be": "is", "have": "has", "do": "does", "go": "goes"}
    if bare in irregular:
        return irregular[bare] + comma
    if re.search(r"[^aeiou]y$", bare):
        return f"{bare[:-1]}ies{comma}"
    return f"{bare}es{comma}" if re.search(r"(s|sh|ch|x|z)$", bare) else f"{bare}s{comma}"


def skeleton_yaml(skeleton: Skeleton, source: str) -> str:
    """The file's text: a comment that says what is left to do, then the constitution."""
    import yaml

    left = "\n".join(f"#   line {line}: {title}" for line, title in skeleton.without_norms)
    head = (
        f"# Imported from {source}: {len(skeleton.data['values'])} values.\n"
        f"# {len(skeleton.to_fill)} places are marked {FILL} and refused until they are written. "
        "Check the behaviours' wording.\n"
    )
    if left:
        head += f"# Sections without a normative sentence, left out:\n{left}\n"
    body = yaml.safe_dump(skeleton.data, sort_keys=False, allow_unicode=True, width=100)
    return head + body
