"""A study: plan, stage graph, content-addressed store and the executor that runs it."""

from pathlib import Path

#: of study files, for editors; written by docs/make/study_file.py
SCHEMA_FILE = Path(__file__).with_name("study-file.schema.json")
