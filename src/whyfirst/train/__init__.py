"""Training stages: `explain`, `sft` and `dpo`, each resumable and saved in the Hub's layout.

`config` is light; `run.run_stage` is the entry and imports torch, transformers and (for dpo) trl.
Leaves out: reward models, online reinforcement learning and adapters (LoRA).
"""
