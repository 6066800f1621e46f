"""Embedded worlds, a package each."""
