"""A probe: how long the residual stream is where the answer begins.

Leaves out: directions within the stream, which `direction` and `representation_similarity` read.
"""

import numpy as np

from whyfirst.probe.arms import Arms
from whyfirst.probe.estimates import mean_estimate
from whyfirst.probe.pairs import Items
from whyfirst.probe.record import Findings, Measure, ProbeOptions, Progress, probe


@probe(
    "stream_norm",
    version="1",
    definition="mean over requests of the Euclidean norm of the residual stream after a layer, at "
    "the last token of the prompt",
)
def stream_norm(arms: Arms, items: Items, options: ProbeOptions, progress: Progress) -> Findings:
    """The norm after every layer, for each arm."""
    measures = []
    for number, arm in enumerate(arms.names):
        progress(number, len(arms.names), f"norms of {arm}")
        seeds = arms.seeds(arm)
        states = [arms.request_states(arm, seed) for seed in seeds]
        topics = np.array([request.topic for request in arms.requests(seeds[0])])
        for layer in range(states[0].layers):
            norms = np.stack([np.linalg.norm(one.layer(layer), axis=1) for one in states])
            measures.append(Measure("norm", arm, mean_estimate(norms, topics), {"layer": layer}))
    return Findings(measures)
