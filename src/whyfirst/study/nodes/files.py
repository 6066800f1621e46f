"""The files and models that a study names: found beside its file, and known by their content.

A local model counts by its files' content, a Hub id by its pinned commit, an endpoint by URL, name
and revision. Leaves out: which node they go into (`builder`), and loading models
(models/reference.py).
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.files import sha256_content, sha256_file
from whyfirst.models.adapters import base_name, is_adapter
from whyfirst.models.folder import is_folder
from whyfirst.models.gguf_file import is_packaged, packaged
from whyfirst.models.reference import NO_REVISION, ModelRef

_COMMIT = re.compile("[0-9a-f]{40}")
# Start of a path in the folder of public data; without the variable, beside the project.
DATA, DEFAULT_DATA = "$WHYFIRST_DATA", "../../shared/data"


@dataclass
class Spec:
    """What a node, or something named in one, is made of.

    Attributes:
        config: what decides its result, for the fingerprint and the run.
        contents: content hashes of files that are no node's, by role; they decide too.
        extra: what its run needs besides, and what decides nothing: where files are, say.
        places: names of those in `extra` that say where something is.
    """

    config: dict[str, Any] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)

    def hold(self, role: str, contents: dict[str, str]) -> None:
        """Take in the contents of a part that plays a role."""
        self.contents |= {f"{role} {part}": sha for part, sha in contents.items()}


@dataclass
class Files:
    """What lies beside a study's file, or where it points.

    Attributes:
        file: the study's.
        contents: content hashes of what was looked at.
    """

    file: Path
    contents: dict[Path, str] = field(default_factory=dict)

    def path(self, text: str) -> Path:
        """A path of the study file, relative to it; ``$WHYFIRST_DATA`` stands for the data.

        Raises:
            UserError: a package is named that isn't here.
        """
        if is_packaged(text):
            return packaged(text)
        first, _, rest = text.partition("/")
        if first == DATA:
            folder = os.environ.get(DATA.removeprefix("$"))
            data = Path(folder) if folder else self.file.parent / DEFAULT_DATA
            return (data / rest).resolve()
        return (self.file.parent / Path(text).expanduser()).resolve()

    def content(self, text: str, used_by: str) -> str:
        """Hash of a data file's or folder's content.

        Raises:
            DataError: there is no such file or folder.
        """
        path = self.path(text)
        if path not in self.contents:
            if path.exists():
                self.contents[path] = sha256_content(path)
            else:
                hint = " (set WHYFIRST_DATA to the folder of the data)" if DATA in text else ""
                raise DataError(f"{self.file}: {used_by}: no such file or folder: {path}{hint}")
        return self.contents[path]

    def data(self, text: str, used_by: str) -> tuple[str, str]:
        """Hash and whole path of a file that a key of the study file names; raises as `content`."""
        return self.content(text, used_by), str(self.path(text))

    def shipped_or_file(self, named: str) -> str:
        """A file beside the study, or the name of what ships."""
        own = self.path(named)
        # Else a file that lies where the command is called would be read in its place.
        return str(own) if own.is_file() or own.suffix else named


def locate(ref: ModelRef, key: str, files: Files) -> Spec:
    """Find the model that a study file names under `key`; its `extra` are fields of a `ModelRef`.

    Raises:
        ConfigError: a Hub id without a pinned commit, a folder or file with one, or an adapter that
            is no local folder.
    """
    spec = Spec(extra=ref.model_dump(mode="json", exclude={"source"}, exclude_defaults=True))
    if ref.endpoint is not None:
        spec.config = {"endpoint": ref.endpoint, "model": ref.model, "revision": ref.revision}
        return spec
    spec.config = {"path": ref.path, "revision": ref.revision}
    place, at = files.path(str(ref.path)), f"{key}.path"
    if ref.revision is not None and (is_packaged(str(ref.path)) or place.exists()):
        raise ConfigError(f"{files.file}: {key}.revision: {NO_REVISION}")
    if is_packaged(str(ref.path)):
        # Where a package lies decides nothing; its file does.
        spec.contents["file"] = files.content(str(ref.path), at)
    elif place.exists():
        spec.contents["folder"] = files.content(str(ref.path), at)
        # What an adapter computes is its base's doing as well.
        if is_adapter(place):
            base, pinned = base_name(place)
            if is_folder(base):
                spec.contents["base"] = files.content(str(Path(base).resolve()), at)
            elif not _COMMIT.fullmatch(pinned or ""):
                raise ConfigError(
                    f"{files.file}: {at}: {place} is an adapter on {base!r}, which is no local "
                    "folder and not pinned; give the base as `path` with its `revision`, and this "
                    "as `adapter`"
                )
        # A node holds a reference to this very place, so the place is part of it.
        spec.config["path"] = spec.extra["path"] = str(place)
    elif not _COMMIT.fullmatch(ref.revision or ""):
        raise ConfigError(
            f"{files.file}: {at}: {ref.path!r} is no local folder; for a Hub id pin the "
            "`revision` (a commit of 40 hex digits), so that the study can be repeated"
        )
    if ref.adapter is not None:
        folder = files.path(ref.adapter)
        if not folder.is_dir():
            raise ConfigError(f"{files.file}: {key}.adapter: {ref.adapter!r} is no local folder")
        spec.contents["adapter"] = files.content(ref.adapter, f"{key}.adapter")
        spec.config["adapter"] = spec.extra["adapter"] = str(folder)
    return spec


def located_to_ask(ref: ModelRef, key: str, files: Files) -> Spec:
    """`locate`, for a model that is only asked: where its files lie decides nothing."""
    spec = locate(ref, key, files)
    if ref.endpoint is None:
        answers = answering(ref, files)
        # Its content is what it is.
        for part, place in (("folder", "path"), ("adapter", "adapter")):
            if part in spec.contents:
                del spec.config[place]
        spec.config |= answers.config
        spec.extra |= answers.extra
    return spec


def answering(ref: ModelRef, files: Files) -> Spec:
    """What decides how a local model answers, once its weights are given: dtype and chat template.

    Nothing that is left to its default counts; a named template counts with its text's hash.
    """
    spec = Spec(extra={"trust_remote_code": ref.trust_remote_code})
    if ref.dtype is not None:
        spec.config["dtype"] = spec.extra["dtype"] = ref.dtype
    if ref.device_map is not None:
        spec.extra["device_map"] = ref.device_map
    named = ref.chat_template
    if named is None:
        return spec
    spec.config["chat_template"] = spec.extra["chat_template"] = named
    if named.endswith(".jinja"):
        sha, spec.extra["chat_template"] = files.data(named, "chat_template")
        spec.config |= {"chat_template": Path(named).name, "chat_template_sha256": sha}
    elif named != "tokenizer":
        from whyfirst.models import chat

        text = Path(chat.__file__).parent / "templates" / f"{named}.jinja"
        # Else the model's own error says what there is.
        if text.is_file():
            spec.config["chat_template_sha256"] = sha256_file(text)
    return spec
