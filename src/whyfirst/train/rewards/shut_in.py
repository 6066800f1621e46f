"""The process that a model's program runs in: shut in first, then the program, then what it did.

A seccomp filter allows some twenty system calls, for good; the modules a program may import are
loaded before. This very file is run, so it imports nothing of the package. Leaves out: what the
parent does (`programs`).
"""

import ctypes
import io
import json
import os
import platform
import resource
import struct
import sys
from types import FunctionType, ModuleType
from typing import Any

MODULES = (
    "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions",
    "functools", "heapq", "itertools", "json", "math", "operator", "random", "re", "statistics",
    "string", "textwrap", "typing",
)  # fmt: skip
SECONDS, MEMORY, OUTPUT = 2, 2**29, 2**20  # of processor time; bytes
UNSAFE = 77  # exit code of a child that could not be shut in
# read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn
# mremap madvise nanosleep getpid exit gettimeofday futex clock_gettime clock_nanosleep exit_group
# getrandom sched_yield sigaltstack
_ALLOWED = {
    "x86_64": (0xC000003E, (0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 25, 28, 35, 39, 60, 96, 202,
                            228, 230, 231, 318, 24, 131)),
    "aarch64": (0xC00000B7, (63, 64, 57, 80, 62, 222, 226, 215, 214, 134, 135, 139, 216, 233, 101,
                             172, 93, 169, 98, 113, 115, 94, 278, 124, 132)),
}  # fmt: skip


def shut_in() -> None:
    """From here on this process can compute and write to what is open; for good.

    Raises:
        OSError, KeyError: the kernel can't, or it is of another processor.
    """
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT, OUTPUT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    architecture, calls = _ALLOWED[platform.machine()]
    # A classic BPF program: another architecture's call kills, a call in the list goes through,
    # any other gets EPERM. Offsets 4 and 0 of the data are the architecture and the call's number.
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, architecture), (0x06, 0, 0, 0x80000000), (0x20, 0, 0, 0)]
    code += [(0x15, len(calls) - at, 0, call) for at, call in enumerate(calls)]
    code += [(0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
    filled = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    listed = struct.pack("HxxxxxxP", len(code), ctypes.addressof(filled))
    prctl = ctypes.CDLL(None).prctl
    # PR_SET_NO_NEW_PRIVS, then PR_SET_SECCOMP with SECCOMP_MODE_FILTER.
    if prctl(38, 1, 0, 0, 0) != 0 or prctl(22, 2, listed, 0, 0) != 0:
        raise OSError("no seccomp")


def execute(program: str, given: str) -> dict[str, Any]:
    """Run a program: what it printed, its variables at the end, and the error that ended it."""
    sys.stdin, sys.stdout = io.StringIO(given), io.StringIO()
    scope: dict[str, Any] = {"__name__": "__main__"}
    problem = None
    try:
        exec(compile(program, "program", "exec"), scope)
    except SystemExit:
        pass
    except BaseException as error:
        problem = type(error).__name__
    hidden = ModuleType | FunctionType | type
    kept = {k: v for k, v in scope.items() if k[:1] != "_" and not isinstance(v, hidden)}
    return {"output": sys.stdout.getvalue(), "variables": kept, "problem": problem}


def serve() -> None:
    """Read one request, shut this process in, run the program and answer."""
    request = json.loads(sys.stdin.buffer.read())
    for name in MODULES:
        __import__(name)
    out = sys.stdout.buffer
    try:
        shut_in()
    except (OSError, KeyError, ValueError, AttributeError):
        os._exit(UNSAFE)
    found = execute(request["program"], request["given"])
    out.write(json.dumps(found, default=repr, skipkeys=True).encode())
    out.flush()
    os._exit(0)


if __name__ == "__main__":
    serve()
