"""Calibrations: a judge -> a better one, a file each."""
