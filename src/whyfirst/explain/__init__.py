"""Writing explanations: teachers, their controls, and matching corpora in tokens."""
