"""The village: worlds drawn by seed, in which a label, rules and reasons can each fail."""
