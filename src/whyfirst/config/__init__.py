"""Strict YAML into frozen models, files, errors, and the one registry of named methods."""
