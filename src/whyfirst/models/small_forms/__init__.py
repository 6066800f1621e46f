"""Mechanisms of other modalities in their smallest real form: on text, graphs or arrays.

A file each, with the paper's mechanism, what it leaves out and an example that runs in seconds.
They are libraries and no words of a study file: none of them makes sense as a stage of a language
model (the inference side of two does: decodings `curved_contrastive` and `keyword_guided`).
"""
