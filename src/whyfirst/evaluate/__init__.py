"""Benchmarks, how a response is scored, and the statistics over the scores."""
