"""From a study file to its graph: the nodes, what they read, and what is refused beforehand."""
