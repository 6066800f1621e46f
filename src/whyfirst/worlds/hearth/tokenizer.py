"""The word-level tokenizer of a world, as a Hugging Face fast tokenizer.

One token a word, an invented name included: that is what lets a model of under a million
parameters take a person up by name (DESIGN.md, Hearth). Unknown words become ``<unk>``.
"""

from typing import TYPE_CHECKING

from whyfirst.worlds.hearth import lexicon
from whyfirst.worlds.hearth.world import World

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS, UNK = "<pad>", "<eos>", "<unk>"
MAX_LENGTH = 128


def build_tokenizer(hearth: World) -> "PreTrainedTokenizerFast":
    """The tokenizer of ``hearth``: special tokens first, then its vocabulary in order."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = [PAD, EOS, UNK, lexicon.DOC, lexicon.SCENE]
    vocabulary = {word: index for index, word in enumerate([*specials, *hearth.vocabulary])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNK,
        additional_special_tokens=[lexicon.DOC, lexicon.SCENE],
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )
