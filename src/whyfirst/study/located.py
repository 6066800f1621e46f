"""The models a study names: where they are, and what identifies them in a fingerprint.

A local model counts by its files' content, a Hub id by its pinned commit, an endpoint by URL, name
and revision. Leaves out: loading them (models/reference.py).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import sha256_file
from whyfirst.models.adapters import base_name, is_adapter
from whyfirst.models.folder import is_folder
from whyfirst.models.packaged import is_packaged
from whyfirst.models.reference import ModelRef

_COMMIT = re.compile("[0-9a-f]{40}")


class Files(Protocol):
    """How a study finds its files."""

    def path(self, text: str) -> Path:
        """A path of the study file as a whole one."""
        ...

    def content(self, text: str, used_by: str) -> str:
        """The content hash of a file or folder that a key of the study file names."""
        ...


@dataclass(frozen=True)
class Located:
    """A model that was found.

    Attributes:
        identity: what of it enters a fingerprint, contents left out.
        contents: content hashes of its files, by role.
        runnable: fields of a `ModelRef` with whole paths.
    """

    identity: dict[str, Any]
    contents: dict[str, str]
    runnable: dict[str, Any]


def locate(ref: ModelRef, key: str, files: Files, where: Path) -> Located:
    """Find the model that the study file `where` names under `key`.

    Raises:
        ConfigError: a Hub id without a pinned commit, or an adapter that is no local folder.
    """
    runnable = ref.model_dump(mode="json", exclude={"source"}, exclude_defaults=True)
    if ref.endpoint is not None:
        identity = {"endpoint": ref.endpoint, "model": ref.model, "revision": ref.revision}
        return Located(identity, {}, runnable)
    identity = {"path": ref.path, "revision": ref.revision}
    contents: dict[str, str] = {}
    if is_packaged(str(ref.path)):  # where a package lies decides nothing; its file does
        contents["file"] = files.content(str(ref.path), f"{key}.path")
        return _with_adapter(ref, key, files, where, Located(identity, contents, runnable))
    place = files.path(str(ref.path))
    if place.exists():
        contents["folder"] = files.content(str(ref.path), f"{key}.path")
        if is_adapter(place):  # what it computes is its base's doing as well
            base, pinned = base_name(place)
            if is_folder(base):
                contents["base"] = files.content(str(Path(base).resolve()), f"{key}.path")
            elif not _COMMIT.fullmatch(pinned or ""):
                raise ConfigError(
                    f"{where}: {key}.path: {place} is an adapter on {base!r}, which is no local "
                    "folder and not pinned; give the base as `path` with its `revision`, and this "
                    "as `adapter`"
                )
        # A node holds a reference to this very place, so the place is part of it.
        identity["path"] = runnable["path"] = str(place)
    elif not _COMMIT.fullmatch(ref.revision or ""):
        raise ConfigError(
            f"{where}: {key}.path: {ref.path!r} is no local folder; for a Hub id pin the "
            "`revision` (a commit of 40 hex digits), so that the study can be repeated"
        )
    return _with_adapter(ref, key, files, where, Located(identity, contents, runnable))


def located_to_ask(ref: ModelRef, key: str, files: Files, where: Path) -> Located:
    """`locate`, for a model that is only asked: where its files lie decides nothing.

    Raises:
        ConfigError: as `locate`.
    """
    found = locate(ref, key, files, where)
    if ref.endpoint is not None:
        return found
    answers, runnable = answering(ref, files)
    dropped = {"folder": "path", "adapter": "adapter"}
    gone = {name for part, name in dropped.items() if part in found.contents}
    kept = {name: value for name, value in found.identity.items() if name not in gone}
    return Located(kept | answers, found.contents, found.runnable | runnable)


def _with_adapter(ref: ModelRef, key: str, files: Files, where: Path, found: Located) -> Located:
    if ref.adapter is None:
        return found
    folder = files.path(ref.adapter)
    if not folder.is_dir():
        raise ConfigError(f"{where}: {key}.adapter: {ref.adapter!r} is no local folder")
    named = {"adapter": str(folder)}
    contents = {"adapter": files.content(ref.adapter, f"{key}.adapter")}
    return Located(found.identity | named, found.contents | contents, found.runnable | named)


def answering(ref: ModelRef, files: Files) -> tuple[dict[str, Any], dict[str, Any]]:
    """What decides how a local model answers, once its weights are given: dtype and chat template.

    Returns:
        What enters a fingerprint (a named template with its text's hash; nothing that is left to
        its default), and the fields to open the model with.
    """
    identity: dict[str, Any] = {}
    runnable: dict[str, Any] = {"trust_remote_code": ref.trust_remote_code}
    if ref.dtype is not None:
        identity["dtype"] = runnable["dtype"] = ref.dtype
    if ref.device_map is not None:
        runnable["device_map"] = ref.device_map
    if ref.chat_template is not None:
        named = ref.chat_template
        identity["chat_template"] = named
        if named.endswith(".jinja"):
            file = files.path(named)
            identity["chat_template"] = file.name
            identity["chat_template_sha256"] = files.content(named, "chat_template")
            named = str(file)
        elif named != "tokenizer":
            from whyfirst.models import chat

            text = Path(chat.__file__).parent / "templates" / f"{named}.jinja"
            if text.is_file():  # else the model's own error says what there is
                identity["chat_template_sha256"] = sha256_file(text)
        runnable["chat_template"] = named
    return identity, runnable
