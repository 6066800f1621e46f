"""`python -m whyfirst`: the same as the command `whyfirst`."""

from whyfirst.cli import main

if __name__ == "__main__":
    main()
