"""whyfirst: teach a language model why a value matters before teaching it what to do.

Importing the package imports nothing heavy: torch, transformers and trl are imported inside the
functions that need them.
"""

__version__ = "0.1.0"
