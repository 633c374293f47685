"""Owns texts longer than the model takes: cut, cut in the middle, or read in overlapping windows.

Dimensions: S sequences, G texts among them, C outputs.
"""

from collections.abc import Sequence as SequenceOf
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from bertune.config import Section
from bertune.errors import ConfigError
from bertune.nn.groups import group_mean, numbered
from bertune.tasks import Task
from bertune.text.sequences import Batch, Sequence
from bertune.text.tokenizer import Tokenizer


class DocumentOptions(Section):
    """Keys of [task] for long texts."""

    long: Literal["truncate", "head_tail", "windows"] = Field(
        "truncate",
        description="of a text longer than model.max_length: its beginning; a quarter from its beginning and "
        "the rest from its end; or all of it in windows, whose outputs are averaged",
    )
    stride: int = Field(64, ge=0, description="tokens that neighbouring windows share")


class DocumentTask(Task):
    """A task with one answer for a text, however long."""

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        return "group" if self.options.long == "windows" else "sequence"

    def encode_texts(
        self, examples: SequenceOf[Any], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        """The sequences of examples of a text or a pair. Raises DataError, ConfigError."""
        texts = [e.texts for e in examples]
        if self.options.long == "windows" and max_length is not None:
            places = [e.origin for e in examples]
            return tokenizer.windows(texts, max_length, self.options.stride, places)
        if self.options.long == "head_tail":
            if any(len(parts) > 1 for parts in texts):
                raise ConfigError(
                    "task.long=head_tail is for single texts, whose middle it leaves out. Of pairs, "
                    "task.long=truncate cuts the longer text and windows reads all of the second"
                )
            return tokenizer.encode(texts, max_length, keep_end=True)
        return tokenizer.encode(texts, max_length)

    def of_texts(self, outputs_SC: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Outputs [G, C] and gold [G, ...] of whole texts."""
        assert batch.gold is not None, "a loss is asked for where there is gold"
        gold_S = batch.gold.view(len(outputs_SC), -1)
        if self.keep_together == "sequence":
            return outputs_SC, gold_S.squeeze(1)
        index_S, num_texts = numbered(batch.groups_S)
        gold_G = gold_S.new_zeros((num_texts, gold_S.shape[1]))
        gold_G[index_S] = gold_S  # all windows of a text have the same
        return group_mean(outputs_SC.float(), batch.groups_S), gold_G.squeeze(1)


def mean_output(outputs: list[Tensor]) -> Tensor:
    """The output [C] of a text from those of its windows."""
    return outputs[0] if len(outputs) == 1 else torch.stack(outputs).mean(0)
