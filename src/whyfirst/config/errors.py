"""The one exception root for mistakes a user can mend, and the nearest name to a mistaken one.

The command line turns a `UserError` into one message and exit code 2, without a traceback. To add
an error: subclass `UserError` where callers must tell it apart, else raise `UserError` itself. The
message names the file, the key or row, and the remedy.
"""

import difflib
from collections.abc import Iterable


# Of `Exception` and not of `ValueError`: pydantic would turn the latter into an error of its own.
class UserError(Exception):
    """A mistake in input, configuration or environment, with its remedy in the message."""


class ConfigError(UserError):
    """A configuration file that can't be used: names file, line and key."""


class DataError(UserError):
    """A data file or row that can't be read: names file and row number."""


class StoreError(UserError):
    """The store can't be read or written: wrong version, full disk, read-only folder."""


class PreflightError(UserError):
    """A stage that must not start: says which check failed and how to proceed."""


class TrainingStopped(UserError):
    """A stage stopped itself (NaN, runaway): says why and names the last good checkpoint."""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest option, or an empty string."""
    # 0.6 is difflib's own bound: below it suggestions are more often a puzzle than a help.
    nearest = difflib.get_close_matches(str(name), [str(o) for o in options], n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
