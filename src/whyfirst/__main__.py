"""`python -m whyfirst`: the same as the command `whyfirst`."""

import os
import sys

if __name__ == "__main__":
    # `-m` looks in the current folder first, where a file could pass for a library's module.
    if not sys.flags.safe_path and sys.path[0] == os.getcwd():  # noqa: PTH109 -- no import before
        del sys.path[0]
    from whyfirst.cli import main

    main()
