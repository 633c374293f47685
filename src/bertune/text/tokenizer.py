"""Owns tokenization: texts in, sequences out, nothing cut without being counted."""

from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bertune.errors import DataError
from bertune.hugging_face import load_config, load_tokenizer
from bertune.text.sequences import Sequence

# Texts given to Rust at once: enough for all cores; its own form of a long text takes a hundred times ours.
_CHUNK = 1000
Texts = tuple[str, ...]


class Tokenizer:
    """A Hugging Face tokenizer, from a model folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config = load_config(folder) if (folder / "config.json").is_file() else None
        self.hf: Any = load_tokenizer(folder, config)
        self.num_ids: int = len(self.hf) if config is None else config.vocab_size  # that the model takes

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
        self, texts: SequenceOf[Texts], max_length: int, stride: int, places: SequenceOf[object] = ()
    ) -> list[Sequence]:
        """All of each item in sequences of at most `max_length` tokens.

        Neighbours share `stride` tokens, or half of `max_length` where that is less. Of a pair the second
        text is cut into windows, each behind the whole first. Raises DataError, with the item's of `places`,
        where the first of a pair that is too long leaves no room for that.
        """
        found: list[Sequence] = []
        for start in range(0, len(texts), _CHUNK):
            inputs = _inputs(texts[start : start + _CHUNK])
            rust = self._rust()
            is_pair = bool(inputs) and isinstance(inputs[0], tuple)
            side = "only_second" if is_pair else "only_first"
            room = max_length - rust.num_special_tokens_to_add(is_pair)
            # The same for every text, so that none is cut otherwise for what else is in its chunk.
            shared = min(stride, max(0, room // 2))
            pieces = [[encoding] for encoding in rust.encode_batch_fast(inputs)]
            long = [number for number, (whole,) in enumerate(pieces) if len(whole) > max_length]
            if long and is_pair:
                worst, taken = self._longest_first_text([inputs[number] for number in long])
                if room - taken <= shared:
                    place = f"{places[start + long[worst]]}: " if places else ""
                    raise DataError(
                        f"{place}the first text of this pair has {taken} tokens, which leaves "
                        f"{max(0, room - taken)} of model.max_length={max_length} to a window of the second, "
                        f"and {shared} of them are its neighbour's. Shorten that text; or train with more "
                        "tokens, a smaller task.stride, or the columns the other way round"
                    )
            elif long and room <= shared:
                raise DataError(
                    f"model.max_length={max_length} leaves {max(0, room)} tokens to a window; give more"
                )
            if long:
                rust.enable_truncation(max_length, stride=shared, strategy=side)
                # Not the fast form: it gives overflowing windows of pairs wrong types.
                for number, first in zip(long, rust.encode_batch([inputs[i] for i in long]), strict=True):
                    pieces[number] = [first, *first.overflowing]
                rust.no_truncation()
            for group, windows in enumerate(pieces, start):
                found += [_sequence(window, group) for window in windows]
        return found

    def _rust(self) -> Any:
        """The Rust tokenizer itself: what transformers puts around it takes longer than the tokenizing."""
        rust = self.hf.backend_tokenizer
        rust.no_padding()
        rust.no_truncation()
        return rust

    def _longest_first_text(self, pairs: list[Any]) -> tuple[int, int]:
        """Its position, and the number of its tokens."""
        first = self.hf.backend_tokenizer.encode_batch_fast([a for a, _ in pairs], add_special_tokens=False)
        lengths = [len(encoding) for encoding in first]
        return max(enumerate(lengths), key=lambda pair: pair[1])

    def _encode_chunk(
        self, texts: SequenceOf[Texts], start: int, max_length: int | None, keep_end: bool
    ) -> list[Sequence]:
        rust, inputs = self._rust(), _inputs(texts)
        encoded = rust.encode_batch_fast(inputs)
        found = [_sequence(encoding, group) for group, encoding in enumerate(encoded, start)]
        long = [] if max_length is None else [i for i, s in enumerate(found) if len(s) > max_length]
        if max_length is None or not long:
            return found
        if keep_end and not isinstance(inputs[0], tuple):
            for i in long:
                found[i] = _without_middle(found[i], encoded[i].special_tokens_mask, max_length)
            return found
        rust.enable_truncation(max_length, strategy="longest_first", direction=self.hf.truncation_side)
        for i, encoding in zip(long, rust.encode_batch_fast([inputs[i] for i in long]), strict=True):
            found[i] = replace(_sequence(encoding, start + i), num_removed=len(found[i]) - len(encoding))
        rust.no_truncation()
        return found

    def save(self, folder: Path) -> None:
        """Writes the tokenizer files in the Hugging Face layout."""
        # Written by us first: the Rust writer reports a full disk as a bare Exception, this as an OSError.
        (folder / "tokenizer.json").write_text(self.hf.backend_tokenizer.to_str(), encoding="utf-8")
        self.hf.save_pretrained(str(folder))


def _inputs(texts: SequenceOf[Texts]) -> list[Any]:
    """As the Rust tokenizer takes them: a text, or a pair."""
    return [item if len(item) == 2 else item[0] for item in texts]


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
