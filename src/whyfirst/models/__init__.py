"""Language models behind one small interface (`base.LanguageModel`).

`local` runs a transformers model, `scripted` plays a table for tests, `scratch` makes a new tiny
model. Nothing is imported here, so that naming the package costs no torch import.
"""
