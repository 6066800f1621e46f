"""The benchmarks, one module each; those of a world are in its own package."""
