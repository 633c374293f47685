"""Masking: which tokens of a sequence a language model must predict, and what they are replaced with."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.errors import ModelError
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

IGNORE_INDEX = -100  # the gold of a token that is not predicted
BEST = 5  # words in the prediction for each mask
# Devlin et al. 2019: 80% of the chosen tokens become the mask, 10% a random word, 10% are unchanged.
_MASKED, _REPLACED = 0.8, 0.9

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """The properties of a vocabulary that masking depends on."""

    mask: int
    kept: NDArray[np.bool_]  # [V] never masked: special tokens such as [CLS], [SEP] and the mask itself
    continues: NDArray[np.bool_]  # [V] whether a token continues the word before it
    ordinary: NDArray[np.int32]  # ids of the tokens that may replace a chosen token


@dataclass(frozen=True)
class Masking:
    """Random masking (Devlin et al. 2019, section 3.1), with new masks at every step (Liu et al. 2019)."""

    share: float  # share of the tokens, between 0 and 1
    whole_words: bool
    vocabulary: Vocabulary

    def sample(self, sequence: Sequence, random: np.random.Generator) -> Sequence:
        """The sequence with random tokens masked, at least one if possible, and the masked tokens as gold."""
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
        """The sequence with masks that depend only on its tokens, for reproducible evaluation."""
        return self.sample(sequence, np.random.default_rng(zlib.crc32(sequence.ids.tobytes())))

    def one_at_a_time(self, sequence: Sequence) -> Iterator[Sequence]:
        """Copies of the sequence in which each token is masked once, and alone."""
        for position in np.flatnonzero(~self.vocabulary.kept[sequence.ids]):
            ids, gold = sequence.ids.copy(), np.full(len(sequence.ids), IGNORE_INDEX, np.int64)
            gold[position], ids[position] = ids[position], self.vocabulary.mask
            yield replace(sequence, ids=ids, gold=gold)

    def as_given(self, sequence: Sequence) -> Sequence:
        """The sequence with gold only at the masks that are already in its text.

        The words behind these masks are unknown, so their gold is the mask token itself.
        """
        mask = self.vocabulary.mask
        return replace(sequence, gold=np.where(sequence.ids == mask, mask, IGNORE_INDEX).astype(np.int64))

    def _chosen(self, ids: NDArray[np.int32], random: np.random.Generator) -> Tokens:
        """The positions to mask, ascending: `share` of the tokens, as whole words if `whole_words` is set."""
        positions = np.flatnonzero(~self.vocabulary.kept[ids])
        budget = min(len(positions), max(1, round(self.share * len(positions))))
        if not self.whole_words:
            return np.sort(random.permutation(positions)[:budget])
        # A word begins at every token that does not continue one, and after every token that is never masked.
        begins = ~self.vocabulary.continues[ids[positions]] | (np.diff(positions, prepend=-2) > 1)
        words = np.split(positions, np.flatnonzero(begins)[1:])
        order = [words[i] for i in random.permutation(len(words))] if len(positions) else []
        chosen: list[Tokens] = []
        for word in order:
            if len(word) <= budget:
                chosen.append(word)
                budget -= len(word)
        # If every word is longer than the number of tokens to mask, mask the shortest word.
        return np.sort(np.concatenate(chosen or [min(words, key=len)]))


def unmasked(sequence: Sequence) -> NDArray[np.int32]:
    """The token ids [length] before masking."""
    gold = sequence.gold
    if not isinstance(gold, np.ndarray):
        return sequence.ids
    return np.where(gold == IGNORE_INDEX, sequence.ids, gold).astype(np.int32)


def readable(tokenizer: Tokenizer, token: int) -> str:
    """A token as readable text, with a leading space if the tokenizer marks one."""
    rust = tokenizer.rust
    raw: str | None = rust.id_to_token(token)
    if raw is None:  # the model may have more embeddings than the vocabulary has tokens
        return f"[{token}]"
    if getattr(rust.model, "continuing_subword_prefix", None):
        return raw
    text: str = rust.decode([token], skip_special_tokens=False)
    if "\ufffd" in text:  # an incomplete UTF-8 sequence
        return raw
    return f" {text}" if raw.startswith("\u2581") and not text.startswith(" ") else text


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """The vocabulary of a tokenizer. Raises ModelError if it has no mask token."""
    rust, mask, unknown = tokenizer.rust, tokenizer.mask_id, tokenizer.unknown_id
    if mask is None:
        raise ModelError(
            f"the tokenizer in {tokenizer.folder} has no mask token, which masked language modelling "
            "requires. Use a masked language model such as google-bert/bert-base-uncased"
        )
    tokens = np.array(tokenizer.tokens(range(rust.get_vocab_size())), object)
    special = np.zeros(len(tokens), bool)
    special[tokenizer.special_ids] = True
    kept = special.copy()
    if unknown is not None:  # unknown words can be masked, too
        kept[unknown] = False
    ordinary = np.flatnonzero(~special).astype(np.int32)
    return Vocabulary(mask, kept, _continuing(rust, tokens) & ~special, ordinary)


def _continuing(rust: Any, tokens: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Tokens that continue a word. WordPiece marks these; other models mark the tokens after a space."""
    prefix = getattr(rust.model, "continuing_subword_prefix", None)
    if prefix:
        return np.array([token.startswith(prefix) and token != prefix for token in tokens])
    for space in ("\u2581", "\u0120"):  # SentencePiece, byte-level BPE
        begins = np.array([token.startswith(space) for token in tokens])
        if begins.any():
            return ~begins
    return np.zeros(len(tokens), bool)


def reduce_array(output_LV: NDArray[np.float32], sequence: Sequence) -> NDArray[np.float32]:
    """[L, 1 + 2K]: the NumPy counterpart of `loss.reduce_outputs`, for one sequence of L tokens.

    `output_LV` are the logits over a vocabulary of V tokens; rows of tokens without gold are zero.
    """
    assert isinstance(sequence.gold, np.ndarray)
    gold_L = sequence.gold.astype(np.int64)
    masked_M = np.flatnonzero(gold_L >= 0)
    kept = min(BEST, output_LV.shape[1])
    rows_LC = np.zeros((len(sequence), 1 + 2 * kept), np.float32)
    logits_MV = output_LV[masked_M]
    highest_M1 = logits_MV.max(1, keepdims=True)
    logs_MV = logits_MV - highest_M1 - np.log(np.exp(logits_MV - highest_M1).sum(1, keepdims=True))
    best_MK = np.argsort(-logs_MV, axis=1, kind="stable")[:, :kept]
    rows_LC[masked_M, :1] = np.take_along_axis(logs_MV, gold_L[masked_M][:, None], 1)
    rows_LC[masked_M, 1 : 1 + kept] = np.take_along_axis(logs_MV, best_MK, 1)
    rows_LC[masked_M, 1 + kept :] = best_MK
    return rows_LC
