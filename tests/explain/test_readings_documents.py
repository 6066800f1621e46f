"""Constitutions of the pairs of readings: enough to write from, and no test item in a document."""

import pytest

from whyfirst.constitution import load_constitution
from whyfirst.data.leaks import find_leaks
from whyfirst.data.readings import read_readings, shipped_readings
from whyfirst.explain.explanation import CONTROLS
from whyfirst.explain.template import write_corpus

PAIRED = [
    (pair, value)
    for pair in shipped_readings()
    for value in (read_readings(pair).a, read_readings(pair).b)
]


@pytest.mark.parametrize(("pair", "value"), PAIRED)
def test_documents_of_a_reading_repeat_a_request_it_is_tested_on(pair: str, value: str) -> None:
    constitution = load_constitution(value)
    (only,) = constitution.values
    assert only.id == value
    assert len(only.reasons) >= 12 and min(len(only.upheld_by), len(only.violated_by)) >= 8
    tested = [item.text for item in read_readings(pair).items()]
    for corpus in ("explanations", *CONTROLS):
        if corpus != "shuffled":  # takes its reasons from a second value
            documents = write_corpus(corpus, constitution, 40, 0)
            assert find_leaks((document.text for document in documents), tested) == [], corpus
