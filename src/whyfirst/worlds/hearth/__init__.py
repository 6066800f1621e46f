"""Hearth: the embedded world, its tokenizer, its base model, its teacher and its benchmarks."""
