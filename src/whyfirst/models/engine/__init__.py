"""Scoring and generating fast: decoding, lines, keys and values, shared beginnings, tries."""
