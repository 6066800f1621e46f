"""Audits: benchmarks of paired conditions, a file each, entered like any other benchmark.

An audit asks the same thing under two conditions that should not matter (or should) and scores the
difference, e.g. whether the model thinks that it is watched.
"""
