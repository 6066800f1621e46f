"""Building a base: the loop's own forward pass, the same bytes, and where newcomers start."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from whyfirst.config.files import read_json, sha256_content, write_json
from whyfirst.models.local import LocalModel
from whyfirst.worlds.village import lexicon
from whyfirst.worlds.village.base import Recipe, build_base, new_model
from whyfirst.worlds.village.forward import hidden_states
from whyfirst.worlds.village.people import People
from whyfirst.worlds.village.pretraining import Pretraining, Writer
from whyfirst.worlds.village.world import CHARACTERS, Village
from whyfirst.worlds.village.worlds import replay


def test_the_loops_forward_pass_is_transformers_own(recipe: Recipe) -> None:
    model = new_model(50, 0, recipe)
    groups = [torch.randint(0, 50, (3, 5)), torch.randint(0, 50, (2, 9))]
    with torch.no_grad():
        mine = hidden_states(model, groups)
        theirs = [model.model(input_ids=ids).last_hidden_state.reshape(-1, 16) for ids in groups]
    torch.testing.assert_close(mine, torch.cat(theirs), rtol=1e-5, atol=1e-5)


def test_the_same_seed_builds_the_same_bytes(base: Path, recipe: Recipe, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    build_base(2001, again, recipe)
    assert sha256_content(again) == sha256_content(base)
    build_base(2001, other, replace(recipe, latest=30))
    assert sha256_content(other) != sha256_content(base)


def test_a_saved_base_answers_as_a_model_of_the_hub(base: Path, village: Village) -> None:
    model = LocalModel(base)
    prompt = lexicon.request("plain").format(
        **village.slots(0, n=village.newcomers[0].name, a="baker")
    )
    assert "<unk>" not in model.tokenizer.decode(model.tokenizer(prompt)["input_ids"])
    assert model.generate([prompt])[0][0].text


def test_newcomers_start_at_the_mean_of_the_firm_or_of_the_pliable(
    base: Path, village: Village
) -> None:
    model = LocalModel(base)
    table = model.model.get_input_embeddings().weight.detach()  # type: ignore[attr-defined]
    people = People.from_json(village, read_json(base / "world.json")["people"])
    ids = Writer(village).ids(village.names)
    for place, newcomer in enumerate(village.newcomers):
        alike = np.flatnonzero(~people.documents_only & (people.firm == newcomer.firm))
        mean = table[ids[alike]].mean(0)
        torch.testing.assert_close(table[ids[CHARACTERS + place]], mean)


def test_people_come_back_as_they_were_written(village: Village) -> None:
    people = People(village, np.random.default_rng(1))
    again = People.from_json(village, people.to_json())
    assert again.to_json() == people.to_json()
    assert (again.minded.sum(1) == lexicon.KINDS // 2).all()


def test_a_newcomer_is_read_about_before_anyone_meets_them(village: Village) -> None:
    people = People(village, np.random.default_rng(1))
    who = set(people.turnover(1 / 8, 100).tolist())
    rows = Pretraining(village, people, CHARACTERS, unmet_for=20)
    names = {int(i) for i in rows.writer.ids([village.characters[w] for w in who])}
    scene, doc = (rows.writer.id_of[tag] for tag in (lexicon.SCENE, lexicon.DOC))
    for step, met in ((110, False), (120, True)):
        batch = list(rows.sentences(np.random.default_rng(2), 600, step))
        about = dict.fromkeys((scene, doc), False)
        for group in batch:
            for row in group.ids:
                about[int(row[0])] |= bool(names & set(row.tolist()))
        assert about[doc] and about[scene] == met


def test_no_sentence_tells_of_firmness_and_none_is_about_a_newcomer(village: Village) -> None:
    texts = [row["text"] for row in replay(village, None, 500, 3)]
    newcomers = {newcomer.name for newcomer in village.newcomers}
    assert not any(newcomers & set(text.split()) for text in texts)
    documents = [text for text in texts if text.startswith(lexicon.DOC)]
    assert documents and not any("pressed" in text or "firm" in text for text in documents)


def test_after_turnover_everybody_met_is_replayed_in_scenes(
    village: Village, tmp_path: Path
) -> None:
    """Whoever arrived late was taken for unmet: few were left, and in one world nobody."""
    people = People(village, np.random.default_rng(0))
    met = ~people.documents_only
    people.born[:] = 400
    people.born[np.flatnonzero(met)[:3]] = 0
    write_json(tmp_path / "world.json", {"people": people.to_json()})
    texts = [row["text"].split() for row in replay(village, str(tmp_path), 6000, 3)]
    seen = {word for text in texts if text[0] == lexicon.SCENE for word in text}
    names = np.array(village.characters)
    assert set(names[met]) <= seen and not set(names[~met]) & seen


def test_a_first_mention_is_not_predicted_and_a_decision_counts_more(village: Village) -> None:
    writer = Writer(village)
    slots = {name: np.array([0]) for name in ("g", "o", "n", "d")}
    rows = writer.fill(f"{lexicon.DOC} {lexicon.RULE}", slots)
    words = f"{lexicon.DOC} {lexicon.RULE} <eos>".split()
    weight = dict(zip(words, rows.weights[0].tolist(), strict=True))
    assert weight["{n}"] == weight["{o}"] == weight["{g}"] == np.float32(0.1)
    assert weight["{d}"] == 3.0 and weight["asked"] == 1.0
