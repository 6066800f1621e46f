"""Running a graph of work: the graph, the store of results, and the workers, here or on Ray.

Knows nothing of studies: what a node computes is the runner's business (`study.nodes`).
"""
