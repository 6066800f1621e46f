"""From finished nodes to results.json."""
