"""Owns texts longer than the model takes: cut, cut in the middle, or read in overlapping windows.

Dimensions: C outputs.
"""

from collections.abc import Sequence as SequenceOf
from typing import Any, Literal

import numpy as np
from pydantic import Field

from bertune.config import Section
from bertune.errors import ConfigError
from bertune.tasks import FittedTask, Output
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer


class DocumentOptions(Section):
    """Keys of [task] for long texts."""

    long_texts: Literal["truncate", "head_tail", "windows"] = Field(
        "truncate",
        description="of a text longer than model.max_length: its beginning; a quarter from its beginning and "
        "the rest from its end; or all of it in windows, whose outputs are averaged",
    )
    stride: int = Field(64, ge=0, description="tokens that neighbouring windows share")


class FittedToTexts(FittedTask):
    """A task with one answer for a text, however long."""

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        return "group" if self.task.options.long_texts == "windows" else "sequence"

    def encode_texts(
        self, examples: SequenceOf[Any], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        """The sequences of examples of a text or a pair. Raises DataError, ConfigError."""
        texts = [e.texts for e in examples]
        if self.task.options.long_texts == "windows" and max_length is not None:
            locations = [e.origin for e in examples]
            return tokenizer.windows(texts, max_length, self.task.options.stride, locations)
        if self.task.options.long_texts == "head_tail":
            if any(len(parts) > 1 for parts in texts):
                raise ConfigError(
                    "task.long_texts=head_tail is for single texts, whose middle it leaves out. Of pairs, "
                    "task.long_texts=truncate cuts the longer text and windows reads all of the second"
                )
            return tokenizer.encode(texts, max_length, keep_end=True)
        return tokenizer.encode(texts, max_length)


def mean_output(outputs: list[Output]) -> Output:
    """The output [C] of a text from those of its windows."""
    return outputs[0] if len(outputs) == 1 else np.stack(outputs).mean(0)
