"""Tokenization: convert texts to sequences and count the tokens lost to truncation."""

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.encoder_config import read_encoder_config
from bertune.errors import DataError
from bertune.hugging_face import (
    TokenizerFiles,
    load_config,
    load_saved_tokenizer,
    load_tokenizer,
    refuse_more_tokens,
    write_max_length,
    write_tokenizer,
)
from bertune.text.sequences import Sequence
from bertune.text.truncation import Kept, Owners, longest_first, owners_of
from bertune.text.windows import overlap, windows_over
from bertune.text.wordpiece import read_wordpiece

# Texts tokenized at once: enough for all cores. The Rust encoding takes about 100 bytes per character.
_CHUNK = 1000
_CHUNK_CHARACTERS = 2_000_000
# A single text of up to this many characters is tokenized without releasing the GIL: in a service, getting it
# back takes longer than tokenizing a short text. Other threads wait for 1 to 2 ms at most.
_SHORT_CHARACTERS = 4000
Texts = tuple[str, ...]


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer of a model folder: the Rust tokenizer and its settings."""

    folder: Path
    files: TokenizerFiles = field(repr=False)
    num_ids: int  # vocabulary size of the model
    with_offsets: bool = False  # whether sequences have the offsets of `joined_offsets`, which is slower

    @classmethod
    def pretrained(cls, folder: Path) -> "Tokenizer":
        """Load the tokenizer of any Hugging Face folder as transformers does. Raises ModelError."""
        files, known = read_wordpiece(folder), read_encoder_config(folder)
        if files is not None and known is not None:
            refuse_more_tokens(folder, files.rust, known.vocab_size)
            return cls(folder, files, known.vocab_size)
        config = load_config(folder) if (folder / "config.json").is_file() else None
        files = load_tokenizer(folder, config)
        return cls(folder, files, files.rust.get_vocab_size() if config is None else config.vocab_size)

    @classmethod
    def saved(cls, folder: Path, num_ids: int) -> "Tokenizer":
        """Load the tokenizer of a model saved by bertune, without the slow import of transformers.

        `num_ids` is the vocabulary size of the model. Raises ModelError.
        """
        files = load_saved_tokenizer(folder)
        refuse_more_tokens(folder, files.rust, num_ids)
        return cls(folder, files, num_ids)

    def __post_init__(self) -> None:
        # Set only here, and only once: encoding never changes the state, so threads can share a tokenizer.
        if self.rust.padding is not None:
            self.rust.no_padding()
        if self.rust.truncation is not None:
            self.rust.no_truncation()

    @property
    def rust(self) -> Any:
        """The Rust tokenizer, without truncation and padding. Its state must not be changed."""
        return self.files.rust

    @property
    def max_length(self) -> int:
        """The maximum sequence length of the model in tokens; a very large number if unknown."""
        return int(self.files.settings.model_max_length)

    @property
    def mask_id(self) -> int | None:
        """The id of the mask token, or None."""
        return self._id(self.files.settings.mask_token)

    @property
    def unknown_id(self) -> int | None:
        """The id of the unknown token; None if the vocabulary covers every text."""
        return self._id(self.files.settings.unk_token)

    @property
    def special_ids(self) -> list[int]:
        """The ids of the special tokens, such as [CLS], including the unknown token."""
        added = self.files.rust.get_added_tokens_decoder()
        return sorted(number for number, token in added.items() if token.special)

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Convert ids to tokens."""
        return [self.files.rust.id_to_token(int(number)) for number in ids]

    def _id(self, token: str | None) -> int | None:
        return None if token is None else self.files.rust.token_to_id(token)

    def encode(
        self, texts: SequenceOf[Texts], max_length: int | None = None, keep_end: bool = False
    ) -> list[Sequence]:
        """Encode each text or pair of texts as one sequence; `group` is the position of the item.

        Sequences are truncated to `max_length` tokens, the longer text of a pair first, and `num_removed`
        counts the lost tokens. With `keep_end`, a single text loses its middle: a quarter of the remaining
        tokens are from the beginning (Sun et al. 2019, section 5.3.1).
        """
        return [
            sequence
            for start, chunk in _chunks(texts)
            for sequence in self._encode_chunk(chunk, start, max_length, keep_end)
        ]

    def windows(
        self, texts: SequenceOf[Texts], max_length: int, stride: int, locations: SequenceOf[object] = ()
    ) -> list[Sequence]:
        """Split each item into overlapping windows of at most `max_length` tokens.

        Neighbouring windows share `stride` tokens, but at most half a window. In a pair, the second text is
        split and each window is preceded by the whole first text. Raises DataError, with the item's entry in
        `locations`, if the first text leaves no room for the second.
        """
        sequences: list[Sequence] = []
        for start, chunk in _chunks(texts):
            inputs = _inputs(chunk)
            is_pair = bool(inputs) and isinstance(inputs[0], tuple)
            room = max_length - self.rust.num_special_tokens_to_add(is_pair)
            # Independent of the texts, so that the windows of a text do not depend on the rest of its chunk.
            shared = overlap(stride, room)
            for group, encoding in enumerate(self._encodings(inputs), start):
                whole = self._sequence(encoding, group, texts[group])
                if len(whole.ids) <= max_length:
                    sequences.append(whole)
                    continue
                owners_L = owners_of(encoding)
                _refuse_no_room(
                    owners_L, room, shared, max_length, f"{locations[group]}: " if locations else ""
                )
                for kept in windows_over(
                    np.flatnonzero(owners_L == int(is_pair)), len(owners_L), max_length, shared
                ):
                    sequences.append(_selected(whole, kept))
        return sequences

    def _encode_chunk(
        self, texts: SequenceOf[Texts], start: int, max_length: int | None, keep_end: bool
    ) -> list[Sequence]:
        inputs = _inputs(texts)
        sequences = []
        for group, encoding in enumerate(self._encodings(inputs), start):
            whole = self._sequence(encoding, group, texts[group - start])
            if max_length is None or len(whole.ids) <= max_length:
                sequences.append(whole)
            elif keep_end and not isinstance(inputs[0], tuple):
                sequences.append(_without_middle(whole, encoding.special_tokens_mask, max_length))
            else:
                side = self.files.settings.truncation_side
                kept = longest_first(owners_of(encoding), max_length, side)
                sequences.append(replace(_selected(whole, kept), num_removed=len(whole) - len(kept)))
        return sequences

    def _encodings(self, inputs: list[Any]) -> list[Any]:
        """The Rust encodings of texts or pairs; those without offsets are faster."""
        if len(inputs) == 1 and not self.with_offsets:
            [only] = inputs
            parts = only if isinstance(only, tuple) else (only,)
            if sum(map(len, parts)) <= _SHORT_CHARACTERS:
                return [self.rust.encode(*parts)]
        encode = self.rust.encode_batch if self.with_offsets else self.rust.encode_batch_fast
        encodings: list[Any] = encode(inputs)
        return encodings

    def _sequence(self, encoding: Any, group: int, texts: Texts) -> Sequence:
        offsets = joined_offsets(encoding, texts[0]) if self.with_offsets else None
        ids, types = np.asarray(encoding.ids, np.int32), np.asarray(encoding.type_ids, np.uint8)
        return Sequence(ids, types, group, offsets=offsets)

    def save(self, folder: Path, max_length: int | None = None) -> None:
        """Write the tokenizer files in the Hugging Face layout.

        `max_length` is the number of tokens at which transformers truncates; None keeps the original value.
        """
        write_tokenizer(folder, self.rust)
        self.files.save(str(folder))
        if max_length is not None:
            write_max_length(folder, max_length)


def joined_offsets(encoding: Any, first: str) -> NDArray[np.int32]:
    """The character offsets [L, 2] of the tokens of a text or pair, joined by a line break; -1 if special.

    `first` is the text, or the first text of the pair.
    """
    owners_L = owners_of(encoding)
    offsets = np.asarray(encoding.offsets, np.int32).reshape(-1, 2)
    offsets = offsets + np.where(owners_L == 1, np.int32(len(first) + 1), np.int32(0))[:, None]
    return np.where(owners_L[:, None] < 0, np.int32(-1), offsets)


def _chunks(texts: SequenceOf[Texts]) -> Iterator[tuple[int, SequenceOf[Texts]]]:
    """Consecutive items that are tokenized at once, and the position of the first of them."""
    start = characters = 0
    for position, item in enumerate(texts):
        size = sum(map(len, item))
        is_full = position - start == _CHUNK or characters + size > _CHUNK_CHARACTERS
        if is_full and position > start:
            yield start, texts[start:position]
            start, characters = position, 0
        characters += size
    if start < len(texts):
        yield start, texts[start:]


def _inputs(texts: SequenceOf[Texts]) -> list[Any]:
    """The items in the format of the Rust tokenizer: a text or a pair of texts."""
    return [item if len(item) == 2 else item[0] for item in texts]


def _refuse_no_room(owners_L: Owners, room: int, shared: int, max_length: int, location: str) -> None:
    """Raise DataError if a window would consist only of tokens shared with its neighbour."""
    first = int((owners_L == 0).sum())
    if not (owners_L == 1).any():
        if room <= shared:
            raise DataError(
                f"model.max_length={max_length} leaves {max(0, room)} tokens for the text in a window. "
                "Set a larger value"
            )
    elif room - first <= shared:
        raise DataError(
            f"{location}the first text of this pair has {first} tokens. With model.max_length={max_length}, "
            f"this leaves {max(0, room - first)} tokens per window for the second text, but neighbouring "
            f"windows share {shared} tokens. Shorten the first text, set a larger model.max_length, or train "
            "with a smaller task.stride or with the text columns swapped"
        )


def _selected(whole: Sequence, kept: Kept) -> Sequence:
    """The sequence with the tokens at the positions `kept` only."""
    offsets = None if whole.offsets is None else whole.offsets[kept]
    return replace(whole, ids=whole.ids[kept], types=whole.types[kept], offsets=offsets)


def _without_middle(whole: Sequence, special: SequenceOf[int], max_length: int) -> Sequence:
    inside = np.flatnonzero(np.asarray(special) == 0)
    kept = max_length - (len(whole) - len(inside))
    head = kept // 4
    dropped = inside[head : len(inside) - (kept - head)]
    remaining = np.delete(np.arange(len(whole)), dropped)
    return replace(_selected(whole, remaining), num_removed=len(dropped))
