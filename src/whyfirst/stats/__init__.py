"""Intervals, crossed samples, power, multiple tests: numbers in, numbers out."""
