"""The plain loop of explain and sft in several processes: what `two_processes.py` starts.

    accelerate launch ... plain_parallel.py FOLDER KIND UPDATES

Leaves out everything a stage has besides.
"""

import sys
from pathlib import Path

from plain_loops import encoded, load, pad

sys.path.insert(0, str(Path(__file__).parents[1]))


def main(folder: Path, kind: str, updates: int) -> None:
    """Train this process' share of every batch; the first one saves."""
    import torch
    import training
    from accelerate import Accelerator

    from whyfirst.train.plan import make_plan

    torch.set_num_threads(1)
    (case,) = (case for case in training.cases(updates) if case.name == kind)
    together = Accelerator(cpu=True)
    tokenizer, model, optimizer = load(folder)
    model, optimizer = together.prepare(model, optimizer)
    ids, prompts = encoded(case, tokenizer)
    for update in make_plan(case.config, list(map(len, ids)), [], 0).updates:
        chosen = [i for (i,) in update][together.process_index :: together.num_processes]
        batch = pad([ids[i] for i in chosen], [prompts[i] for i in chosen])
        together.backward(model(batch[0], attention_mask=batch[1], labels=batch[2]).loss)
        together.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    if together.is_main_process:
        together.unwrap_model(model).save_pretrained(folder / "plain")
    together.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
