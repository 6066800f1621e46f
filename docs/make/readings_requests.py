"""Requests for probes from a pair of readings: what both refuse against what neither does.

    python docs/make/readings_requests.py care-law 24 > studies/smollm2-requests.jsonl

So many requests of each kind, one a template, plainly and in role play. Leaves out: the requests on
which the readings part, which are no more harmful by the one than harmless by the other.
"""

import json
import sys

from whyfirst.data.readings import read_readings
from whyfirst.evaluate.attacks import framing


def main(pair: str, each: str) -> None:
    """Print them."""
    templates = {item.topic: item for item in reversed(read_readings(pair).items())}
    for kind, harmful in (("both", True), ("neither", False)):
        some = [item for item in reversed(templates.values()) if item.kind == kind][: int(each)]
        for item in some:
            for name in ("none", "role_play"):
                asked = framing(name).apply(item.text)[-1].content
                row = {"id": f"{item.id}/{name}", "prompt": asked, "harmful": harmful,
                       "topic": item.topic, "framing": name}  # fmt: skip
                print(json.dumps(row))


if __name__ == "__main__":
    main(*sys.argv[1:])
