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
        whole = self._encode(texts, None)
        if max_length is None:
            return whole
        long = [i for i, sequence in enumerate(whole) if len(sequence) > max_length]
        for i, cut in zip(long, self._encode([texts[i] for i in long], max_length), strict=True):
            whole[i] = replace(cut, group=i, num_removed=len(whole[i]) - len(cut))
        return whole

    def _encode(self, texts: SequenceOf[tuple[str, ...]], max_length: int | None) -> list[Sequence]:
        if not texts:
            return []
        first = [item[0] for item in texts]
        second = [item[1] for item in texts] if len(texts[0]) == 2 else None
        encoded = self.hf(
            first,
            second,
            truncation="longest_first" if max_length else False,
            max_length=max_length,
            return_token_type_ids=True,
            return_attention_mask=False,
            verbose=False,  # "longer than the maximum" is said by us, once, with numbers
        )
        return [
            Sequence(np.asarray(ids, np.int32), np.asarray(types, np.uint8), group)
            for group, (ids, types) in enumerate(
                zip(encoded["input_ids"], encoded["token_type_ids"], strict=True)
            )
        ]

    def save(self, folder: Path) -> None:
        """Writes the tokenizer files in the Hugging Face layout."""
        # Written by us first: the Rust writer reports a full disk as a bare Exception, this as an OSError.
        (folder / "tokenizer.json").write_text(self.hf.backend_tokenizer.to_str(), encoding="utf-8")
        self.hf.save_pretrained(str(folder))
