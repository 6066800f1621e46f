"""Keep transformers' own progress bars off while it loads or saves.

The study has its own bars. Leaves out: the library's log messages.
"""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Switch the library's bars off, and back on if they were on."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
