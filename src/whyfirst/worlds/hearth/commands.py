"""What `whyfirst hearth` does. Leaves out: the options, which every world's commands share."""

from whyfirst.worlds.hearth.base import build_base as build

__all__ = ["build"]
