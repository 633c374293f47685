"""Owns tokenization: texts in, sequences out, nothing cut without being counted."""

from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bertune.errors import ModelError
from bertune.text.sequences import Sequence

# Without any of these transformers makes up a vocabulary in which every word is unknown.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


# Texts given to Rust at once: enough for all cores; its own form of a long text takes a hundred times ours.
_CHUNK = 1000


class Tokenizer:
    """A Hugging Face tokenizer, from a model folder."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        if not any(path for pattern in _VOCABULARIES for path in folder.glob(pattern)):
            raise ModelError(
                f"{folder} has no vocabulary, so no text could be read: it needs tokenizer.json, or "
                "vocab.txt beside a config.json that names the model_type"
            )
        try:
            self.hf: Any = AutoTokenizer.from_pretrained(str(folder))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder} holds no tokenizer that can be read ({str(error).splitlines()[0]}). It needs "
                f"tokenizer.json, or vocab.txt beside a config.json that names the model_type"
            ) from error
        if not self.hf.is_fast:
            raise ModelError(
                f"the tokenizer in {folder} has no fast (Rust) form; save it as tokenizer.json first"
            )

    def encode(self, texts: SequenceOf[tuple[str, ...]], max_length: int | None = None) -> list[Sequence]:
        """One sequence per item of one text or a pair of texts; `group` is the item's position.

        Longer ones are cut to `max_length` tokens, the longer text of a pair first, and count what they lost.
        """
        return [
            replace(sequence, group=start + sequence.group)
            for start in range(0, len(texts), _CHUNK)
            for sequence in self._encode_chunk(texts[start : start + _CHUNK], max_length)
        ]

    def _encode_chunk(self, texts: SequenceOf[tuple[str, ...]], max_length: int | None) -> list[Sequence]:
        # The Rust tokenizer itself: what transformers puts around it takes longer than the tokenizing.
        rust = self.hf.backend_tokenizer
        inputs = [item if len(item) == 2 else item[0] for item in texts]
        rust.no_padding()
        rust.no_truncation()
        encoded = rust.encode_batch_fast(inputs)
        lengths = [len(encoding) for encoding in encoded]
        long = [] if max_length is None else [i for i, n in enumerate(lengths) if n > max_length]
        if long:
            rust.enable_truncation(max_length, strategy="longest_first", direction=self.hf.truncation_side)
            for i, cut in zip(long, rust.encode_batch_fast([inputs[i] for i in long]), strict=True):
                encoded[i] = cut
            rust.no_truncation()
        return [
            Sequence(
                np.asarray(encoding.ids, np.int32),
                np.asarray(encoding.type_ids, np.uint8),
                group,
                num_removed=length - len(encoding),
            )
            for group, (encoding, length) in enumerate(zip(encoded, lengths, strict=True))
        ]

    def save(self, folder: Path) -> None:
        """Writes the tokenizer files in the Hugging Face layout."""
        # Written by us first: the Rust writer reports a full disk as a bare Exception, this as an OSError.
        (folder / "tokenizer.json").write_text(self.hf.backend_tokenizer.to_str(), encoding="utf-8")
        self.hf.save_pretrained(str(folder))
