"""Ending a stage early without losing what it did: SIGINT and SIGTERM wait for a checkpoint.

Leaves out: SIGKILL, which `Watch` meets by saving whenever a minute of work would be lost.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn


class Stopping:
    """Whether a stage was asked to end; a second request ends it at once."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, object] = {}

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note SIGINT and SIGTERM inside; only a process's main thread can."""
        # Python hands signals to it alone; a study in a thread is ended by its own means.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        try:
            yield
        finally:
            self._restore()

    def end(self) -> NoReturn:
        """End as the signal would have, now that a checkpoint is there.

        Raises:
            KeyboardInterrupt: after SIGINT.
            SystemExit: after SIGTERM, with the exit code of a process it ended.
        """
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + int(self.asked or signal.SIGTERM))

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Restored at once: the second signal does what it would have done without us.
        self.asked = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}
