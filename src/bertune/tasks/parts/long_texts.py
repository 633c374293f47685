"""Texts longer than the maximum length: truncated, cut in the middle, or read in overlapping windows.

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
from bertune.text.windows import overlap


class DocumentOptions(Section):
    """Keys of [task] for long texts."""

    long_texts: Literal["truncate", "head_tail", "windows"] = Field(
        "truncate",
        description="which part of a text longer than model.max_length is used; truncate: its beginning; "
        "head_tail: a quarter of the tokens from its beginning and the rest from its end; windows: all of "
        "it, averaging the outputs of overlapping windows",
    )
    stride: int = Field(64, ge=0, description="number of tokens by which adjacent windows overlap")


class FittedInWindows(FittedTask):
    """Base class of tasks that read long texts in overlapping windows."""

    def check_length(self, max_length: int) -> None:
        options = self.options
        most = overlap(options.stride, max_length)
        if "stride" in options.model_fields_set and options.stride > most:
            raise ConfigError(
                f"task.stride={options.stride}: adjacent windows of model.max_length={max_length} tokens "
                f"share at most half of their tokens. Set task.stride to {most} or less, or a larger "
                "model.max_length"
            )


class FittedToTexts(FittedInWindows):
    """Base class of tasks with one prediction per text, whatever its length."""

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        return "group" if self.task.options.long_texts == "windows" else "sequence"

    def check_length(self, max_length: int) -> None:
        if self.task.options.long_texts == "windows":
            super().check_length(max_length)

    def encode_texts(
        self, examples: SequenceOf[Any], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        """The sequences of examples with a text or a pair of texts. Raises DataError or ConfigError."""
        texts = [e.texts for e in examples]
        if self.task.options.long_texts == "windows" and max_length is not None:
            locations = [e.origin for e in examples]
            return tokenizer.windows(texts, max_length, self.task.options.stride, locations)
        if self.task.options.long_texts == "head_tail":
            if any(len(parts) > 1 for parts in texts):
                raise ConfigError(
                    "task.long_texts=head_tail requires single texts, but the data has pairs. Set "
                    "task.long_texts=truncate to truncate the longer text of a pair, or windows to read all "
                    "of the second text"
                )
            return tokenizer.encode(texts, max_length, keep_end=True)
        return tokenizer.encode(texts, max_length)


def mean_output(outputs: list[Output]) -> Output:
    """The output [C] of a text: the mean over its windows."""
    return outputs[0] if len(outputs) == 1 else np.stack(outputs).mean(0)
