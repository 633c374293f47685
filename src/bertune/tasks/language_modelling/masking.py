"""Masking: which tokens of a sequence a language model must predict, and what replaces them."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.errors import ModelError
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

IGNORE_INDEX = -100  # the gold of a token that the model is not asked for
_MASKED, _REPLACED = 0.8, 0.9  # up to here the mask, up to here any word, else left as it is

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """What masking must know of a tokenizer's words."""

    mask: int
    kept: NDArray[np.bool_]  # [V] never asked for, never drawn: [CLS], [SEP], the mask itself
    continues: NDArray[np.bool_]  # [V] whether a token goes on with the word before it
    ordinary: NDArray[np.int32]  # those that are drawn to replace another


@dataclass(frozen=True)
class Masking:
    """How much is masked (Devlin et al. 2019, section 3.1), drawn anew each time (Liu et al. 2019)."""

    share: float
    whole_words: bool
    vocabulary: Vocabulary

    def sample(self, sequence: Sequence, random: np.random.Generator) -> Sequence:
        """A sequence with some tokens masked and those as its gold, at least one where it has any."""
        original = unmasked(sequence)
        chosen = self._chosen(original, random)
        if not len(chosen):
            return replace(sequence, ids=original, gold=np.full(len(original), IGNORE_INDEX, np.int64))
        ids, gold = original.copy(), np.full(len(original), IGNORE_INDEX, np.int64)
        gold[chosen] = original[chosen]
        draw = random.random(len(chosen))
        ids[chosen[draw < _MASKED]] = self.vocabulary.mask
        replaced = chosen[(draw >= _MASKED) & (draw < _REPLACED)]
        ids[replaced] = random.choice(self.vocabulary.ordinary, len(replaced))
        return replace(sequence, ids=ids, gold=gold)

    def fixed(self, sequence: Sequence) -> Sequence:
        """The same drawn once and for all, whatever else is in the batch: for evaluation and prediction."""
        return self.sample(sequence, np.random.default_rng(zlib.crc32(sequence.ids.tobytes())))

    def one_at_a_time(self, sequence: Sequence) -> Iterator[Sequence]:
        """Copies of a sequence, in each another token masked and no other: each is asked for once."""
        for position in np.flatnonzero(~self.vocabulary.kept[sequence.ids]):
            ids, gold = sequence.ids.copy(), np.full(len(sequence.ids), IGNORE_INDEX, np.int64)
            gold[position], ids[position] = ids[position], self.vocabulary.mask
            yield replace(sequence, ids=ids, gold=gold)

    def as_given(self, sequence: Sequence) -> Sequence:
        """A sequence asked for the masks that its text brings along, and for no others.

        Nobody knows what they hide: their gold is the mask itself.
        """
        mask = self.vocabulary.mask
        return replace(sequence, gold=np.where(sequence.ids == mask, mask, IGNORE_INDEX).astype(np.int64))

    def _chosen(self, ids: NDArray[np.int32], random: np.random.Generator) -> Tokens:
        """Positions to be asked for, ascending: `share` of the tokens, in whole words if that is wanted."""
        positions = np.flatnonzero(~self.vocabulary.kept[ids])
        wanted = min(len(positions), max(1, round(self.share * len(positions))))
        if not self.whole_words:
            return np.sort(random.permutation(positions)[:wanted])
        # A word begins with every token that does not go on, and behind every token that is kept.
        begins = ~self.vocabulary.continues[ids[positions]] | (np.diff(positions, prepend=-2) > 1)
        words = np.split(positions, np.flatnonzero(begins)[1:])
        order = [words[i] for i in random.permutation(len(words))] if len(positions) else []
        chosen: list[Tokens] = []
        for word in order:
            if len(word) <= wanted:
                chosen.append(word)
                wanted -= len(word)
        # One word that is longer than all there is to choose goes alone.
        return np.sort(np.concatenate(chosen or [min(words, key=len)]))


def unmasked(sequence: Sequence) -> NDArray[np.int32]:
    """The token ids [length] as they were before they were masked."""
    gold = sequence.gold
    if not isinstance(gold, np.ndarray):
        return sequence.ids
    return np.where(gold == IGNORE_INDEX, sequence.ids, gold).astype(np.int32)


def readable(tokenizer: Tokenizer, token: int) -> str:
    """A token as a reader would write it, with a space in front where the tokenizer marks one."""
    rust = tokenizer.rust
    raw: str | None = rust.id_to_token(token)
    if raw is None:  # a model may have room for more words than there are
        return f"[{token}]"
    if getattr(rust.model, "continuing_subword_prefix", None):
        return raw
    text: str = rust.decode([token], skip_special_tokens=False)
    if "\ufffd" in text:  # a part of a character
        return raw
    return f" {text}" if raw.startswith("\u2581") and not text.startswith(" ") else text


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """What a tokenizer says about its words. Raises ModelError for one without a mask."""
    rust, mask, unknown = tokenizer.rust, tokenizer.mask_id, tokenizer.unknown_id
    if mask is None:
        raise ModelError(
            f"the tokenizer in {tokenizer.folder} has no mask token, so its model never learned to fill one; "
            "choose a masked language model such as google-bert/bert-base-uncased"
        )
    tokens = np.array(tokenizer.tokens(range(rust.get_vocab_size())), object)
    special = np.zeros(len(tokens), bool)
    special[tokenizer.special_ids] = True
    kept = special.copy()
    if unknown is not None:  # a word the tokenizer does not know is a word
        kept[unknown] = False
    ordinary = np.flatnonzero(~special).astype(np.int32)
    return Vocabulary(mask, kept, _continuing(rust, tokens) & ~special, ordinary)


def _continuing(rust: Any, tokens: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Tokens that go on with a word: WordPiece marks those, the others mark what follows a space."""
    prefix = getattr(rust.model, "continuing_subword_prefix", None)
    if prefix:
        return np.array([token.startswith(prefix) and token != prefix for token in tokens])
    for space in ("\u2581", "\u0120"):  # SentencePiece, byte-level BPE
        begins = np.array([token.startswith(space) for token in tokens])
        if begins.any():
            return ~begins
    return np.zeros(len(tokens), bool)
