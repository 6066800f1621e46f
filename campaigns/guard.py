"""A fork in which one input is read: bounded in time and memory, and watched.

Watched are the files it writes, the hosts it asks for, the programs it starts and the classes it
unpickles, by Python's own audit events. Leaves out: what native code does by itself.
"""

import contextlib
import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_S = 10.0
MOST_BYTES = 2**30
_LOOPBACK = ("127.0.0.1", "::1", "localhost", None, b"127.0.0.1", b"localhost")


def outcome(read: Callable[[], object], folder: Path) -> tuple[str, str]:
    """How reading ended: `read`, `refused` with the message, or what must not happen.

    Args:
        folder: the only one that may be written to.
    """
    from_child, to_parent = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(from_child)
        os.setsid()
        found = _inside(read, folder)
        with contextlib.suppress(OSError):
            os.write(to_parent, json.dumps([found[0][:500], found[1][-4000:]]).encode())
        os._exit(0)
    os.close(to_parent)
    answer, ended = b"", False
    while select.select([from_child], [], [], MOST_S)[0]:
        part = os.read(from_child, 65536)
        answer += part
        if not part:
            ended = True
            break
    os.close(from_child)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not ended:
        return "hangs", f"over {MOST_S:.0f} s"
    if not answer:
        return "crashes", f"ended with {os.waitstatus_to_exitcode(status)}"
    kind, said = json.loads(answer)
    return kind, said


def _inside(read: Callable[[], object], folder: Path) -> tuple[str, str]:
    from whyfirst.config.errors import UserError

    seen: list[str] = []
    _watch(folder, seen)
    for number in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MOST_BYTES, now + MOST_BYTES))
    os.chdir(folder)
    kind, said = "read", ""
    try:
        read()
    except UserError as error:
        kind, said = "refused", str(error)
        if not said.strip():
            kind = "says nothing"
    except MemoryError:
        kind, said = "takes over 1 GiB", traceback.format_exc()[-3000:]
    except BaseException:
        kind, said = "traceback", traceback.format_exc()[-3000:]
    return ("; ".join(seen)[:500], said) if seen else (kind, said)


def _watch(folder: Path, seen: list[str]) -> None:
    """Note what reaches outside the folder."""
    inside = str(folder.resolve())
    os.environ["TMPDIR"] = os.environ["XDG_CACHE_HOME"] = os.environ["HF_HOME"] = inside

    def outside(path: Any) -> bool:
        if isinstance(path, int) or path is None:
            return False
        whole = os.path.realpath(os.fsdecode(path))
        return not whole.startswith((inside, "/dev/null", "/proc/self"))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if (writes or any(c in str(mode or "") for c in "wax+")) and outside(path):
                seen.append(f"writes {path}")
        elif event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "shutil.rmtree"):
            if outside(arguments[0]):
                seen.append(f"{event} {arguments[0]}")
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            if arguments[1][0] not in _LOOPBACK:
                seen.append(f"connects to {arguments[1][0]}")
        elif event == "socket.getaddrinfo" and arguments[0] not in _LOOPBACK:
            seen.append(f"asks for the host {arguments[0]!r}")
        elif event == "subprocess.Popen":
            # Templates are rendered in a process of their own.
            if str(arguments[0]) != sys.executable:
                seen.append(f"starts {arguments[0]}")
        elif event in ("os.system", "pickle.find_class"):
            seen.append(f"{event} {arguments}")

    sys.addaudithook(hook)
