"""One arm's model card, its folder as the Hub wants it, and sending it there.

The metadata follows the Hub's `model-index` format, so that the Hub shows the evaluation results;
the text (`templates/card.md.j2`) says what the arm is for and what its numbers can't show. What is
sent is the folder, file by file: it can be looked at first. The token comes from an environment
variable, is handed to `huggingface_hub` and kept nowhere. Leaves out: making a repository public,
which is done on the Hub's own page, after a look, and a licence that the base's folder lacks.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from whyfirst.config.bounded import read_text
from whyfirst.config.errors import StoreError, UserError
from whyfirst.config.files import atomic_write, read_json
from whyfirst.config.text import safe_text
from whyfirst.report import words
from whyfirst.report.answer import answer
from whyfirst.report.schema import Results
from whyfirst.report.views import seeds_in_words


def render_card(results: Results, arm: str) -> str:
    """The card (README.md) of one arm's models.

    Args:
        results: the study's results.
        arm: the arm's name.

    Raises:
        UserError: the study has no such arm.
    """
    spec, command = results.arm(arm), safe_text(results.command)
    cells = {name: parts.get("*/*") for name, parts in spec.benchmarks.items()}
    # The code block's fence is longer than any inside it, or the command could end it.
    longest = max((len(run) for run in re.findall(r"`+", command)), default=0)
    # No autoescape: this is markdown, and every string of others goes through `plain` or `code`.
    made = Environment(
        loader=PackageLoader("whyfirst.report"), autoescape=False, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    made.filters |= {"plain": plain, "code": code, "seeds": seeds_in_words,
                     "json": lambda value: json.dumps(value, ensure_ascii=False)}  # fmt: skip
    return made.get_template("card.md.j2").render(
        # ASCII on unbroken lines: the Hub's own reader is stricter than YAML is.
        metadata=yaml.safe_dump(
            metadata(results, arm), sort_keys=False, allow_unicode=False, width=1000
        ),
        results=results, study=results.study, arm=arm, spec=spec, answer=answer(results),
        evaluated=[(results.benchmarks[name], cell) for name, cell in cells.items() if cell],
        amount=words.amount, interval=words.interval,
        command=command, fence="`" * max(3, longest + 1),
    )  # fmt: skip


def metadata(results: Results, arm: str) -> dict[str, Any]:
    """The Hub's block: the benchmarks that have a number, as its `model-index`.

    The Hub shows that as the weights' own, so an arm that answers through more has none.
    """
    spec, study = results.arms[arm], results.study
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", study.name).strip("-") or "study"
    rows = []
    measured = {} if spec.edits or spec.decoding else spec.benchmarks
    for name, cells in measured.items():
        cell = cells.get("*/*")
        # The Hub refuses an evaluation without a number.
        if cell is None or cell.value is None:
            continue
        benchmark = results.benchmarks[name]
        rows.append({
            "task": {"type": "text-generation"},
            "dataset": {"type": f"whyfirst/{slug}", "name": safe_text(study.title)},
            "metrics": [{"type": name, "name": safe_text(benchmark.title), "value": cell.value,
                         "args": {"version": benchmark.version, "low": cell.low,
                                  "high": cell.high, "answers": cell.answers,
                                  "seeds": cell.n_seeds, "unscored": cell.unscored}}],
        })  # fmt: skip
    card = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["whyfirst", *spec.stages],
        "base_model": study.base_model,
        "license": study.licence,
        "model-index": [{"name": f"{slug}-{arm}", "results": rows}] if rows else None,
    }
    return {key: value for key, value in card.items() if value}


def plain(text: str) -> str:
    """Text that markdown neither formats nor turns into HTML, on one line."""
    line = " ".join(safe_text(text).split())
    # Markdown lets HTML through, so what people wrote must not be any.
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#!~])", r"\\\1", line)


def code(text: str) -> str:
    """Text inside one pair of backticks."""
    return " ".join(safe_text(text).split()).replace("`", "'").replace("|", "/")


CARD = "README.md"
#: what a model's folder is made of; anything else that lies there stays behind
KEPT = (".safetensors", ".json", ".jinja", ".txt", ".model")
#: fields of a model's configuration that tell where it lay on this machine
_PLACES = ("_name_or_path", "base_model_name_or_path")
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def write_folder(results: Results, arm: str, model: Path, out: Path) -> list[str]:
    """Write the Hub's layout of one arm: its weights, tokenizer and card.

    Args:
        model: the folder of the arm's model.
        out: must not exist, or be empty.

    Returns:
        The names of the files, sorted.

    Raises:
        UserError: `out` has something in it, the arm is the base, or its model is a low-rank
            adapter whose base is a folder of this machine.
        StoreError: it can't be written.
    """
    # Sending somebody else's model under a new name would be no publication.
    if not results.arms[arm].stages:
        raise UserError(f"arm {arm!r} has no stages: it is the base model, which is published")
    card = render_card(results, arm)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: there is something already; give another folder")
    # Optimizer states and logs stay here.
    files = sorted(p for p in model.iterdir() if p.is_file() and p.suffix in KEPT)
    settings = {path: _without_places(path) for path in files if path.suffix == ".json"}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path in files:
            if path not in settings:
                shutil.copyfile(path, out / path.name)
    except OSError as error:
        raise StoreError(f"{out}: can't be written ({error.strerror})") from None
    for path, text in settings.items():
        atomic_write(out / path.name, text)
    atomic_write(out / CARD, card)
    return sorted(path.name for path in out.iterdir())


def _without_places(path: Path) -> str:
    """A settings file's text, without the places of this machine."""
    text = read_text(path)
    if path.name not in ("config.json", "adapter_config.json", "tokenizer_config.json"):
        return text
    found = read_json(path)
    for name in _PLACES:
        value = found.get(name)
        if not isinstance(value, str):
            continue
        if Path(value).is_absolute() or Path(value).exists() or (path.parent / value).exists():
            if path.name == "adapter_config.json":
                raise UserError(
                    f"{path}: the adapter belongs on a folder of this machine, which nobody else "
                    "has; train with `lora: {merge: true}`"
                )
            del found[name]
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def push(folder: Path, repo: str, token_env: str) -> str:
    """Send a folder to a private repository of the Hub, made if it isn't there.

    Args:
        repo: ``owner/name``.
        token_env: the variable that holds a token with write access.

    Returns:
        The commit's URL.

    Raises:
        UserError: no such id, the variable is empty, offline, or the Hub refuses.
    """
    if not _ID.fullmatch(repo):
        raise UserError(f"--push-to-hub: {repo!r} is no repository id; give OWNER/NAME")
    token = os.environ.get(token_env)
    if not token:
        raise UserError(
            f"--push-to-hub: the environment variable {token_env} is empty; put a token with "
            "write access into it (or name another variable with --token-env)"
        )
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    api = HfApi(token=token)
    try:
        api.create_repo(repo, private=True, exist_ok=True)
        if not api.repo_info(repo).private:  # one that was there keeps what it was
            raise UserError(
                f"--push-to-hub: {repo} is there already and public; make it private, or name "
                "another"
            )
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message="Model and card from whyfirst"
        )
    except OfflineModeIsEnabled:
        raise UserError("--push-to-hub: --offline (or HF_HUB_OFFLINE) forbids it") from None
    except (HfHubHTTPError, httpx2.HTTPError, OSError, ValueError) as error:
        # The Hub's messages may quote the request with its header.
        reason = str(error).replace(token, "[token]").strip().splitlines()[:1]
        raise UserError(
            f"--push-to-hub: {repo}: {' '.join(reason) or type(error).__name__}"
        ) from None
    return str(commit.commit_url)
