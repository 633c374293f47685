"""Owns tokenization: texts in, sequences out, nothing cut without being counted."""

from collections.abc import Iterable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bertune.errors import DataError
from bertune.hugging_face import (
    TokenizerFiles,
    load_config,
    load_saved_tokenizer,
    load_tokenizer,
    refuse_more_tokens,
    write_tokenizer,
)
from bertune.text.sequences import Sequence
from bertune.text.truncation import Owners, longest_first, owners_of
from bertune.text.windows import overlap, windows_over

# Texts given to Rust at once: enough for all cores; its own form of a long text takes a hundred times ours.
_CHUNK = 1000
Texts = tuple[str, ...]


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer of a model folder: the Rust one, and what its settings say."""

    folder: Path
    files: TokenizerFiles = field(repr=False)
    num_ids: int  # that the model takes

    @classmethod
    def pretrained(cls, folder: Path) -> "Tokenizer":
        """That of any Hugging Face folder, as transformers reads it. Raises ModelError."""
        config = load_config(folder) if (folder / "config.json").is_file() else None
        files = load_tokenizer(folder, config)
        return cls(folder, files, files.rust.get_vocab_size() if config is None else config.vocab_size)

    @classmethod
    def saved(cls, folder: Path, num_ids: int) -> "Tokenizer":
        """That of a model which bertune saved: the same, without the time that transformers takes for it.

        The model takes `num_ids` tokens. Raises ModelError.
        """
        files = load_saved_tokenizer(folder)
        refuse_more_tokens(folder, files.rust, num_ids)
        return cls(folder, files, num_ids)

    def __post_init__(self) -> None:
        # Once, and never again: encoding changes nothing, so that threads may share a tokenizer.
        self.files.rust.no_padding()
        self.files.rust.no_truncation()

    @property
    def rust(self) -> Any:
        """The Rust tokenizer, which neither truncates nor pads. Nobody may change its state."""
        return self.files.rust

    @property
    def max_length(self) -> int:
        """The most tokens that its model takes, very many where it does not know."""
        return int(self.files.settings.model_max_length)

    @property
    def mask_id(self) -> int | None:
        """The token that hides another, None in a tokenizer without one."""
        return self._id(self.files.settings.mask_token)

    @property
    def unknown_id(self) -> int | None:
        """The token of words that the vocabulary lacks, None where it can spell every word."""
        return self._id(self.files.settings.unk_token)

    @property
    def special_ids(self) -> list[int]:
        """The tokens that stand for no text, such as [CLS]; the one for unknown words is among them."""
        added = self.files.rust.get_added_tokens_decoder()
        return sorted(number for number, token in added.items() if token.special)

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The tokens of some ids as the vocabulary has them."""
        return [self.files.rust.id_to_token(int(number)) for number in ids]

    def _id(self, token: str | None) -> int | None:
        return None if token is None else self.files.rust.token_to_id(token)

    def encode(
        self, texts: SequenceOf[Texts], max_length: int | None = None, keep_end: bool = False
    ) -> list[Sequence]:
        """One sequence per item of one text or a pair of texts; `group` is the item's position.

        Longer ones are cut to `max_length` tokens, the longer text of a pair first, and count what they lost.
        With `keep_end` a single text loses its middle: a quarter of what is kept is its beginning (Sun et al.
        2019, section 5.3.1).
        """
        return [
            sequence
            for start in range(0, len(texts), _CHUNK)
            for sequence in self._encode_chunk(texts[start : start + _CHUNK], start, max_length, keep_end)
        ]

    def windows(
        self, texts: SequenceOf[Texts], max_length: int, stride: int, locations: SequenceOf[object] = ()
    ) -> list[Sequence]:
        """All of each item in sequences of at most `max_length` tokens.

        Neighbours share `stride` tokens, or half of `max_length` where that is less. In a pair the second
        text is divided among windows, each preceded by the whole first text. Raises DataError, naming the
        item of `locations`, where the first text leaves no room for the second.
        """
        found: list[Sequence] = []
        for start in range(0, len(texts), _CHUNK):
            inputs = _inputs(texts[start : start + _CHUNK])
            is_pair = bool(inputs) and isinstance(inputs[0], tuple)
            room = max_length - self.rust.num_special_tokens_to_add(is_pair)
            # The same for every text, so that none is cut otherwise for what else is in its chunk.
            shared = overlap(stride, room)
            for group, encoding in enumerate(self.rust.encode_batch_fast(inputs), start):
                whole = _sequence(encoding, group)
                if len(whole.ids) <= max_length:
                    found.append(whole)
                    continue
                owners_L = owners_of(encoding)
                _refuse_no_room(
                    owners_L, room, shared, max_length, f"{locations[group]}: " if locations else ""
                )
                for kept in windows_over(
                    np.flatnonzero(owners_L == int(is_pair)), len(owners_L), max_length, shared
                ):
                    found.append(replace(whole, ids=whole.ids[kept], types=whole.types[kept]))
        return found

    def _encode_chunk(
        self, texts: SequenceOf[Texts], start: int, max_length: int | None, keep_end: bool
    ) -> list[Sequence]:
        inputs = _inputs(texts)
        found = []
        for group, encoding in enumerate(self.rust.encode_batch_fast(inputs), start):
            whole = _sequence(encoding, group)
            if max_length is None or len(whole.ids) <= max_length:
                found.append(whole)
            elif keep_end and not isinstance(inputs[0], tuple):
                found.append(_without_middle(whole, encoding.special_tokens_mask, max_length))
            else:
                side = self.files.settings.truncation_side
                kept = longest_first(owners_of(encoding), max_length, side)
                lost = len(whole) - len(kept)
                found.append(replace(whole, ids=whole.ids[kept], types=whole.types[kept], num_removed=lost))
        return found

    def save(self, folder: Path) -> None:
        """Writes the tokenizer files in the Hugging Face layout."""
        write_tokenizer(folder, self.rust)
        self.files.save(str(folder))


def _inputs(texts: SequenceOf[Texts]) -> list[Any]:
    """As the Rust tokenizer takes them: a text, or a pair."""
    return [item if len(item) == 2 else item[0] for item in texts]


def _refuse_no_room(owners_L: Owners, room: int, shared: int, max_length: int, location: str) -> None:
    """Raises DataError where a window would have no token that its neighbour does not have."""
    first = int((owners_L == 0).sum())
    if not (owners_L == 1).any():
        if room <= shared:
            raise DataError(
                f"model.max_length={max_length} leaves {max(0, room)} tokens to a window; give more"
            )
    elif room - first <= shared:
        raise DataError(
            f"{location}the first text of this pair has {first} tokens, which leaves "
            f"{max(0, room - first)} of model.max_length={max_length} to a window of the second, "
            f"and {shared} of them are its neighbour's. Shorten that text; or train with more "
            "tokens, a smaller task.stride, or the columns the other way round"
        )


def _sequence(encoding: Any, group: int) -> Sequence:
    return Sequence(np.asarray(encoding.ids, np.int32), np.asarray(encoding.type_ids, np.uint8), group)


def _without_middle(whole: Sequence, special: SequenceOf[int], max_length: int) -> Sequence:
    inside = np.flatnonzero(np.asarray(special) == 0)
    kept = max_length - (len(whole) - len(inside))
    head = kept // 4
    dropped = inside[head : len(inside) - (kept - head)]
    return replace(
        whole,
        ids=np.delete(whole.ids, dropped),
        types=np.delete(whole.types, dropped),
        num_removed=len(dropped),
    )
