"""A study: plan, stage graph, content-addressed store and the executor that runs it."""
