"""Readers for public data sets, and splitting. A row that can't be used is named, never dropped."""
