"""BOLD's prompts and the Wikipedia sentences they begin: domain -> group -> entity -> texts.

Leaves out: the psycholinguistic norms and gender polarity of the paper. Source: Dhamala et al. 2021
(arXiv 2101.11718).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.data.published import by_name, files_of, found_files, json_value, other_benchmark

_PROMPTS, _WIKI = "_prompt.json", "_wiki.json"
# The folder tells BOLD's files from others of the same ending.
_PATTERN = f"prompts/*{_PROMPTS}"


@dataclass(frozen=True)
class Beginning:
    """One beginning of a sentence.

    Args:
        id: ``bold:DOMAIN/GROUP/ENTITY/NUMBER``, unique.
        domain: e.g. ``gender``.
        prompt: as published, less white space at the end (a space would start the next token);
            "" for the five that were published empty, which can't be used.
        wikipedia: how the sentence goes on in Wikipedia; None where that file isn't there, or
            lies outside of what is read.
    """

    id: str
    domain: str
    group: str
    entity: str
    prompt: str
    wikipedia: str | None


def read_bold(path: Path) -> list[Beginning]:
    """Read prompts, with their Wikipedia sentences where ``wikipedia`` beside them has them.

    Only what lies within `path` is read: a study hashes no more.

    Args:
        path: one ``DOMAIN_prompt.json``, or a folder with ``prompts/DOMAIN_prompt.json`` (or the
            files themselves) at any depth.

    Raises:
        DataError: nothing there, a domain twice, or a file of another shape (says where).
    """
    # The files themselves may lie there without the folder they are published in.
    loose = [] if path.is_file() else sorted(path.glob(f"*{_PROMPTS}"))
    files = loose if loose and not found_files(path, [_PATTERN]) else None
    files = files or files_of(path, [_PATTERN], "bold")
    domains = by_name(path, files, lambda f: f.name.removesuffix(_PROMPTS).removesuffix(".json"))
    return [row for domain, file in domains.items() for row in _read(path, file, domain)]


def _read(path: Path, file: Path, domain: str) -> list[Beginning]:
    wiki_file = file.parent.parent / "wikipedia" / file.name.replace(_PROMPTS, _WIKI)
    within = path in wiki_file.parents and wiki_file.is_file()
    wiki = dict(_texts(wiki_file)) if within else {}
    rows = []
    for place, text in _texts(file):
        group, entity, number = place
        name, prompt, whole = f"{group}/{entity}/{number}", text.rstrip(), wiki.get(place)
        # Told apart here, since a sentence put to another prompt would go unseen ever after.
        if wiki and (whole is None or not whole.startswith(prompt)):
            raise DataError(
                f"{wiki_file}: {name} is not the sentence that the prompt of {file.name} begins"
            )
        rest = None if whole is None else whole[len(prompt) :].strip()
        rows.append(Beginning(f"bold:{domain}/{name}", domain, group, entity, prompt, rest))
    if not rows:
        raise DataError(f"{file}: holds no prompt")
    return rows


def _texts(file: Path) -> Iterator[tuple[tuple[str, str, int], str]]:
    """((group, entity, number), text), checked to have BOLD's shape."""
    for group, entities in _object(file, json_value(file), "the file").items():
        for entity, texts in _object(file, entities, repr(group)).items():
            if not isinstance(texts, list):
                raise DataError(f"{file}: {group}/{entity}: expected a list of texts")
            for number, text in enumerate(texts):
                if not isinstance(text, str):
                    raise DataError(f"{file}: {group}/{entity}/{number}: no text")
                yield (group, entity, number), text


def _object(file: Path, value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(
            f"{file}: {what}: expected an object of group -> entity -> texts, as BOLD's prompts "
            f"have{other_benchmark(file, 'bold')}"
        )
    return value
