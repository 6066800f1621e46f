"""A data set's folder, here or on the Hub: ``hub:ORG/NAME`` or ``hub:ORG/NAME@REVISION``.

Files are fetched once into the Hub's own cache and read from there like any folder, so a data set
serves if it holds files in a layout that a reader knows. Leaves out: parquet files, and data sets
that are built by a script.
"""

import re
from pathlib import Path

from whyfirst.config.errors import UserError
from whyfirst.models.folder import reason

PREFIX = "hub:"
_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([\w./-]+))?")
_FILES = ("*.csv", "*.json", "*.jsonl", "*.jsonl.gz")


def data_path(text: str) -> Path:
    """The path that was given, or the local folder of a Hub data set.

    The folder's name is the commit, which a record of the run should keep: without a revision the
    Hub's newest one is taken.

    Raises:
        UserError: no such file, folder or data set, or the Hub can't be reached.
    """
    if not text.startswith(PREFIX):
        path = Path(text)
        if not path.exists():
            raise UserError(
                f"no such file or folder: {text} (a data set of the Hub is {PREFIX}ORG/NAME)"
            )
        return path
    match = _NAME.fullmatch(text.removeprefix(PREFIX))
    # A revision may hold a slash (refs/pr/3), a name holds exactly one.
    if match is None:
        raise UserError(f"{text}: a data set of the Hub is {PREFIX}ORG/NAME[@REVISION]")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    # Nothing but data is fetched: a loading script would be code of somebody else's.
    name, revision = match.groups()
    try:
        folder = snapshot_download(
            name, repo_type="dataset", revision=revision, allow_patterns=list(_FILES)
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(f"{text}: can't be fetched: {reason(error)}") from error
    return Path(folder)
