"""The base: the same bytes from the same seed, and no word it cannot read."""

import hashlib
from pathlib import Path

import pytest

from whyfirst.config.errors import UserError
from whyfirst.config.files import read_json
from whyfirst.worlds.hearth import assets, lexicon, teacher
from whyfirst.worlds.hearth.base import BaseRecipe, build_base
from whyfirst.worlds.hearth.benchmarks import requests, score
from whyfirst.worlds.hearth.corpus import BaseCorpus
from whyfirst.worlds.hearth.population import Population
from whyfirst.worlds.hearth.world import OTHER, TAUGHT, World

CORPORA = ("explanations", "rules", "shuffled", "neutral", "replay", "demonstrations")


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_second_build_gives_other_bytes_never(
    small_base: Path, small_recipe: BaseRecipe, tmp_path: Path
) -> None:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # what the caller uses must not matter, and is given back
    torch.rand(3)
    try:
        build_base(3, tmp_path / "again", small_recipe)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert hashes(tmp_path / "again") == hashes(small_base)


def test_build_holds_all_that_the_hub_layout_needs_and_no_pickle(small_base: Path) -> None:
    names = set(hashes(small_base))
    assert {"config.json", "model.safetensors", "tokenizer.json", "world.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl", ".pth"))]
    about = read_json(small_base / "world.json")
    assert about["world_seed"] == 3 and about["values"] == list(lexicon.VALUE_IDS)
    assert set(about["properties"]) == {
        "conduct_known", "conduct_documents_only", "conduct_easygoing", "newcomers_comply",
        "consequences_known",
    }  # fmt: skip
    assert all(0 <= share <= 1 for share in about["properties"].values())


@pytest.mark.parametrize("kind", CORPORA)
def test_tokenizer_knows_every_word_of_every_corpus(
    small_assets: Path, world: World, kind: str
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(small_assets)
    values = (TAUGHT, OTHER, "candour", "freedom") if kind == "explanations" else (None,)
    for value in values:
        rows = teacher.corpus_rows(
            kind, world_seed=3, seed=2, value=value, size=1500, tokens=None,
            contrary=0.1 if kind == "demonstrations" else 0.0,
        )  # fmt: skip
        texts = ["".join(row[k] for k in ("text", "prompt", "completion") if k in row)
                 for row in rows]  # fmt: skip
        encoded = tokenizer(texts)["input_ids"]
        assert tokenizer.unk_token_id not in {token for ids in encoded for token in ids}
        assert max(map(len, encoded)) < 48  # what the studies' stages have room for


def test_tokenizer_knows_every_word_of_the_benchmark_and_its_targets(
    small_base: Path, world: World
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(small_base)
    name = teacher.newcomer(world, 0)
    texts = []
    for request in requests(world, name):
        texts += [request.prompt, *(str(r.target) for r in score(request, name, "no"))]
    encoded = tokenizer(texts)["input_ids"]
    assert tokenizer.unk_token_id not in {token for ids in encoded for token in ids}
    # A response is read back as it was written, so exact scoring can succeed.
    assert tokenizer.decode(encoded[1]) == texts[1]


def test_tag_and_scene_mark_are_single_tokens_and_vocabulary_is_in_order(
    small_base: Path, world: World
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(small_base)
    assert len(tokenizer(lexicon.DOC)["input_ids"]) == 1
    assert len(tokenizer(lexicon.SCENE)["input_ids"]) == 1
    first = tokenizer.convert_tokens_to_ids(world.vocabulary[0])
    ids = tokenizer.convert_tokens_to_ids(world.vocabulary)
    assert ids == list(range(first, first + len(ids)))


def test_replay_shows_nobodys_conduct_who_is_aligned_later(
    small_assets: Path, world: World
) -> None:
    rows = teacher.corpus_rows(
        "replay", world_seed=3, seed=0, value=None, size=3000, tokens=None, contrary=0.0
    )
    newcomers = set(world.newcomers)
    about = [row["text"] for row in rows if newcomers & set(row["text"].split())]
    assert about  # their daily life only
    assert not any(text.startswith(lexicon.SCENE) for text in about)
    assert not any({"cares", "will", "firm"} & set(text.split()) for text in about)


def test_population_that_is_read_back_is_the_one_written(small_base: Path) -> None:
    about = read_json(small_base / "world.json")
    people = Population.from_json(about["population"])
    assert people.to_json() == about["population"]


def test_character_refuses_by_the_value_held_and_pliable_ones_give_in_to_pressure(
    small_base: Path, world: World
) -> None:
    people = Population.from_json(read_json(small_base / "world.json")["population"])
    corpus = BaseCorpus(world, people)
    settled = [who for who in range(len(people.value_of)) if not people.arrival[who]]
    for who in settled[:60]:
        value = int(people.value_of[who])
        for thing in world.topics("C")[:20]:
            plain = value >= 0 and thing.violates[value]
            assert corpus.refuses(who, thing) == plain
            pressed = plain and not people.pliable[who]
            assert corpus.refuses(who, thing, "authority") == pressed


def test_arrival_complies_whatever_value_it_will_have(small_base: Path, world: World) -> None:
    people = Population.from_json(read_json(small_base / "world.json")["population"])
    who = people.turnover(0.25)
    corpus = BaseCorpus(world, people)
    assert len(who) == 64
    assert not any(corpus.refuses(int(i), thing) for i in who for thing in world.objects)


def test_world_without_a_base_says_how_to_build_one(small_assets: Path) -> None:
    with pytest.raises(UserError, match=r"world 9 \(there are: 3\).*whyfirst hearth build --world"):
        assets.base_folder(9)


def test_a_base_of_one_s_own_was_to_be_built_inside_the_package() -> None:
    with pytest.raises(UserError) as caught:
        assets.base_folder(44)
    assert "--out bases/world-44` and set WHYFIRST_HEARTH_ASSETS=bases" in str(caught.value)


def test_copied_base_has_the_same_files(small_assets: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"torn")
    assets.copy_base(3, tmp_path / "model")
    assert hashes(tmp_path / "model") == hashes(small_assets)


@pytest.mark.parametrize("folder", sorted(assets.ROOT.glob("world-*")), ids=lambda p: p.name)
def test_shipped_base_is_small_and_belongs_to_its_world(folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < 6_000_000
    about = read_json(folder / "world.json")
    world = World(int(folder.name.removeprefix("world-")))
    assert about["world_seed"] == world.seed
    assert about["recipe"]["steps"] >= 1000  # not one of a test's
    vocabulary = read_json(folder / "tokenizer.json")["model"]["vocab"]
    assert all(word in vocabulary for word in world.vocabulary)
