"""Naming a model: in a study's YAML, or as one word on the command line; and opening it.

A model is a local folder, a GGUF file (or package:NAME, one that a package holds), a Hub id, or a
name at an OpenAI-compatible endpoint. Leaves out: the models that ship or are built from scratch
(the study knows those).
"""

import re
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, ValidationError, model_validator

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import sha256_json
from whyfirst.config.strict import LocatedError, StrictModel, affects_output, runtime_only
from whyfirst.models.base import LanguageModel
from whyfirst.models.folder import is_there
from whyfirst.models.gguf_file import is_packaged

_PREFIX = "endpoint:"
NO_REVISION = "is of a Hub id; what lies in a folder or a file has none, so leave it out"
_LOCAL_ONLY = ("dtype", "device_map", "adapter", "chat_template", "trust_remote_code")
ENDPOINT_ONLY = (
    "model", "key_env", "price_in", "price_out", "max_cost", "max_tokens",
    "timeout_s", "deadline_s", "max_concurrency",
)  # fmt: skip
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
# A long run of letters with digits among them is a key in capitals and no name.
_KEY = re.compile(r"(?=[A-Z]*[0-9])[A-Z0-9]{16,}")


class ModelRef(StrictModel):
    """Which model, and how to run or reach it; see docs/models.md.

    Exactly one of `path` and `endpoint` is given. Prices are per million tokens, in any one
    currency; None is unpriced. Caps hold for one run: what a rerun finds kept costs nothing.
    """

    # A key put in the wrong place must not come back in an error message.
    model_config = ConfigDict(hide_input_in_errors=True)

    path: str | None = affects_output(
        None,
        description="a folder or .gguf file (relative to the file), package:NAME, or a Hub id",
    )
    revision: str | None = affects_output(None, description="commit of a Hub id")
    dtype: Literal["float32", "bfloat16", "float16"] | None = affects_output(
        None, description="float32, bfloat16 or float16"
    )
    device_map: str | None = runtime_only(None, description="spread over devices, as auto")
    adapter: str | None = affects_output(
        None, description="a LoRA adapter: folder or org/name@COMMIT"
    )
    chat_template: str | None = affects_output(
        None, description="a shipped name, a .jinja file, or tokenizer"
    )
    trust_remote_code: bool = affects_output(
        False, description="run the model's own code (needs a commit)"
    )

    endpoint: str | None = affects_output(
        None, description="URL of an OpenAI-compatible server, in place of a path"
    )
    model: str | None = affects_output(None, description="the model's name at the endpoint")
    key_env: str | None = runtime_only(
        None, description="NAME of the variable with the endpoint's key"
    )
    price_in: float | None = runtime_only(None, ge=0, description="of a million prompt tokens")
    price_out: float | None = runtime_only(None, ge=0, description="of a million completion tokens")
    max_cost: float | None = runtime_only(
        None, gt=0, description="stop before it is passed; needs both prices"
    )
    max_tokens: int | None = runtime_only(None, gt=0, description="stop before more is used")
    timeout_s: float = runtime_only(300.0, gt=0, description="of one request")
    deadline_s: float = runtime_only(
        86400.0, gt=0, description="of one request with all its retries"
    )
    max_concurrency: int = runtime_only(32, ge=1, description="requests at a time")

    @model_validator(mode="after")
    def _one_kind_of_model(self) -> Self:
        if (self.path is None) == (self.endpoint is None):
            raise ValueError(
                "give either path (a folder, a .gguf file or a Hub id) or endpoint (a URL)"
            )
        odd = _LOCAL_ONLY if self.endpoint is not None else ENDPOINT_ONLY
        kind = "path" if self.endpoint is not None else "endpoint"
        # At its default a field asks for nothing: a study file writes every field out.
        defaults = {name: type(self).model_fields[name].default for name in odd}
        problems = [((name,), f"only goes with {kind}") for name, default in defaults.items()
                    if getattr(self, name) != default]  # fmt: skip
        if self.endpoint is not None:
            problems += [(("endpoint",), text) for text in _url_problems(self.endpoint)]
            if not self.model:
                problems.append((("model",), "missing; the model's name at the endpoint"))
        if self.key_env is not None and (
            not _VARIABLE.fullmatch(self.key_env) or _KEY.search(self.key_env)
        ):
            problems.append(
                (("key_env",), "is the NAME of an environment variable (capitals), not a key")
            )
        if self.max_cost is not None and None in (self.price_in, self.price_out):
            problems.append((("max_cost",), "needs price_in and price_out"))
        if problems:
            raise LocatedError(problems)
        return self

    @property
    def name(self) -> str:
        """For a table or a file name: the path, or the model and where it is."""
        return self.path or f"{self.model} at {self.endpoint}"


def parse_model(text: str, **more: Any) -> ModelRef:
    """A model in one word: a folder or .gguf file, ``package:NAME``, ``org/name``,
    ``endpoint:URL#MODEL``.

    Args:
        more: further fields of `ModelRef`, e.g. from other options of the command.

    Raises:
        ConfigError: not such a word, or a field that doesn't fit; says which.
    """
    fields: dict[str, Any] = {"path": text}
    # At the first #: a model's name may hold a colon and a slash, and hardly a #.
    if text.startswith(_PREFIX):
        url, hash_sign, model = text.removeprefix(_PREFIX).partition("#")
        if not hash_sign or not model:
            raise ConfigError("model: an endpoint is named endpoint:URL#MODEL")
        fields = {"endpoint": url, "model": model}
    try:
        return ModelRef.model_validate(fields | more)
    except ValidationError as error:
        lines = []
        for detail in error.errors(include_url=False, include_input=False):
            cause = detail.get("ctx", {}).get("error")
            if isinstance(cause, LocatedError):
                lines += [f"{'.'.join(map(str, at))}: {said}" for at, said in cause.problems]
            else:
                place = ".".join(map(str, detail["loc"]))
                said = str(detail["msg"]).removeprefix("Value error, ")
                lines.append(f"{place}: {said}" if place else said)
        raise ConfigError("model: " + "; ".join(lines)) from None


def open_model(ref: ModelRef, *, base: Path = Path(), cache: Path | None = None) -> LanguageModel:
    """The model, ready to answer.

    Args:
        base: the folder that relative paths in `ref` start from.
        cache: folder for an endpoint's kept replies; None keeps none.

    Raises:
        UserError: a local model that can't be loaded, or has a revision; an endpoint is not asked
            before its first prompt.
    """
    if ref.endpoint is not None:
        from whyfirst.models.endpoint import EndpointModel
        from whyfirst.models.endpoint_client import Limits
        from whyfirst.models.spend import Spend

        url = ref.endpoint.rstrip("/")
        identity = sha256_json({"endpoint": url, "model": ref.model})
        return EndpointModel(
            url,
            str(ref.model),
            key_env=ref.key_env,
            revision=ref.revision,
            store=None if cache is None else cache / f"replies-{identity[:16]}.jsonl",
            spend=Spend(
                ref.price_in, ref.price_out, ref.max_cost, ref.max_tokens, cache, identity[:16]
            ),
            limits=Limits(ref.max_concurrency, ref.timeout_s, ref.deadline_s),
        )
    from whyfirst.models.local import LocalModel

    # A name of a shipped template is no path, so only files are looked for under `base`.
    template = ref.chat_template
    if template is not None and template.endswith(".jinja"):
        template = str(base / template)
    place = resolved(str(ref.path), base)
    if ref.revision is not None and (is_packaged(place) or is_there(Path(place))):
        raise ConfigError(f"model: revision: {NO_REVISION}")
    return LocalModel(
        place,
        dtype=ref.dtype,
        revision=ref.revision,
        device_map=ref.device_map,
        adapter=None if ref.adapter is None else resolved(ref.adapter, base),
        chat_template=template,
        trust_remote_code=ref.trust_remote_code,
    )


def resolved(path: str, base: Path) -> str:
    """A folder or file of that name under `base`, or else the text itself (a Hub id)."""
    folder = base / Path(path).expanduser()
    return str(folder) if is_there(folder) else path


def _url_problems(url: str) -> list[str]:
    """What keeps a text from being an endpoint's base URL; never repeats the text."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return ["is no URL"]
    if not good or re.search(r"\s", url):
        return ["must be a URL like https://host/v1"]
    problems = []
    if parts.username or parts.password or parts.query or parts.fragment:
        problems.append("no user, key or query in the URL; name the key's variable with key_env")
    if parts.path.rstrip("/").endswith("/completions"):
        problems.append("end it before /chat/completions or /completions")
    return problems
