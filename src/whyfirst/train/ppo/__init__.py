"""Proximal policy optimisation on a reward, of our own: TRL keeps none since its release 1.13.

`maths` holds the formulas, `rollout` writes episodes, `algorithm` is one update and reads like the
paper, `run` is the stage round it and `state` its checkpoints. Leaves out: full sharding (FSDP),
generation on another server, rewards for single tokens.
"""
