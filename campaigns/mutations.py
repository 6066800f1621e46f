"""Valid files made invalid: bits, bytes and text anywhere; structure, where a file has one.

Everything follows from the random generator given, so that an input can be made again. Leaves out:
what is read, and what must not happen (`fuzz`).
"""

import copy
import gzip
import json
import random
from typing import Any

import yaml

DEEP = "[" * 3000 + "]" * 3000
NONSENSE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3, 2**31, 2**63, 10**40, 1.5, 1e308, -0.0, float("nan"),
    float("inf"), "", " ", "x", "a\0b", "../../x", "/etc/passwd", "\ud800", "\u202e", "é" * 300,
    "9" * 5000, "%s%n", "{{ 7 * 7 }}", "${HOME}", [], ["x"], [[]], [None], {}, {"a": 1},
    {"": None}, "someone/kernel", "http://192.0.2.1/x", "2026-13-45", "x" * 100_000,
)  # fmt: skip
PIECES = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b"\n", b"\r\n", b"\r", b",", b";", b"\t",
    b"{", b"}", b"[", b"]", b"{{", b"}}", b"{%", b"%}", b"{# ", b"&a ", b"*a", b"<<: *a\n",
    b"!!python/object:os.system ",
    b"!!binary ", b"- ", b": ", b"#", b"|", b">", b"%", b"1e999", b"NaN", b"-Infinity", b"9" * 400,
    b"\\ud800", b"\\u0000", b"null", b"true", b"\xc3\x28", b"\x1b[31m", b"../", b"<script>",
    b"{% for i in range(10**9) %}x{% endfor %}", b"{{ ''.__class__ }}", b"{{ 'x' * 10**10 }}",
)  # fmt: skip


def mutated(data: bytes, kind: str, rng: random.Random) -> bytes:
    """One invalid, or only other, version of a file.

    Args:
        kind: json, jsonl, yaml, csv, text or binary.
    """
    structured = {"json": _json, "jsonl": _jsonl, "yaml": _yaml}
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        try:
            if kind in structured and rng.random() < 0.7:
                data = structured[kind](data, rng)
            else:
                data = _bytes(data, rng)
        except (ValueError, yaml.YAMLError, RecursionError):  # it is no such file any more
            data = _bytes(data, rng)
    return data


def _bytes(data: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(data) + 1), rng.choice([1, 1, 2, 4, 8, 64, 1000])
    # Headers decide the most.
    at = min(at, rng.choice([8, 64, len(data), len(data)]))
    match rng.randrange(12):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + length :]
        case 2:
            return data[:at] + data[at : at + length] * rng.choice([2, 3, 300]) + data[at:]
        case 3 | 4:
            return data[:at] + rng.choice(PIECES) + data[at:]
        case 5:
            return data[:at] + rng.choice(PIECES) + data[at + length :]
        case 6 | 7:
            return data[:at] + bytes([rng.choice([0, 1, 127, 128, 255])]) + data[at + 1 :]
        case 8:
            return data[:at] + rng.randbytes(min(length, 8)) + data[at + min(length, 8) :]
        case 9:
            return data.decode("utf-8", "replace").encode(rng.choice(["utf-16", "utf-8-sig"]))
        case 10:
            return rng.choice([b"", DEEP.encode(), b"\n" * 100_000, gzip.compress(data), b"{}"])
        case _:
            lines = data.splitlines(keepends=True)
            rng.shuffle(lines)
            return b"".join(lines)


def _json(data: bytes, rng: random.Random) -> bytes:
    return json.dumps(_changed(json.loads(data), rng)).encode("utf-8", "surrogatepass")


def _jsonl(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    place = rng.randrange(len(lines))
    lines[place] = _json(lines[place], rng) + b"\n"
    return b"".join(lines)


def _yaml(data: bytes, rng: random.Random) -> bytes:
    value = _changed(yaml.safe_load(data), rng)
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode("utf-8", "replace")


def _changed(value: Any, rng: random.Random) -> Any:
    """The value with one node of it replaced, removed, renamed, doubled or nested."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []
    layer = [value] if isinstance(value, dict | list) else []
    while layer:
        here = layer.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here))
        places += [(here, key) for key in keys]
        layer += [here[key] for key in keys if isinstance(here[key], dict | list)]
    if not places or rng.random() < 0.03:
        return rng.choice(NONSENSE)
    parent, key = rng.choice(places)
    match rng.randrange(8):
        case 0 | 1 | 2 | 3:
            parent[key] = rng.choice(NONSENSE)
        case 4:
            del parent[key]
        case 5 if isinstance(parent, dict):
            parent[str(rng.choice(NONSENSE))[:50]] = parent.pop(key)
        case 6:
            other, its = rng.choice(places)
            parent[key] = copy.deepcopy(other[its]) if rng.random() < 0.8 else [parent[key]]
        case _:
            for _ in range(rng.choice([1, 2, 200])):
                parent[key] = [parent[key]] if rng.random() < 0.5 else {"x": parent[key]}
    return value
