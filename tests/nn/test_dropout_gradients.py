"""With the same dropout masks, packed outputs and gradients equal those of Hugging Face."""

from collections.abc import Iterator

import pytest
import torch
from families import (
    EQUAL_LENGTHS,
    PACKED,
    SEVERAL_GROUPS,
    UNEQUAL_LENGTHS,
    assert_gradients_agree,
    batch_for,
    gradients,
    standard,
)
from torch import Tensor

from bertune.nn.batch import Batch
from bertune.nn.dropout import Dropout, Mask
from bertune.nn.layout import Group, layout
from bertune.nn.model import StandardModel

Drawn = list[Tensor]  # factors: zero, or the scale of what is kept
original = torch.nn.functional.dropout


def packed_gradients(
    model: StandardModel, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> tuple[Tensor, dict[str, Tensor], Drawn, Drawn]:
    """The outputs and gradients, with the factors that were drawn in the encoder and in the head."""
    in_encoder: Drawn = []
    in_head: Drawn = []
    draw = Dropout.mask

    def mask(self: Dropout, shape: tuple[int, ...], p: float, like: Tensor) -> Mask | None:
        drawn = draw(self, shape, p, like)
        if drawn is not None:
            in_encoder.append(drawn.kept * drawn.scale)
        return drawn

    def dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        in_head.append(original(torch.ones_like(x), p, training))
        return x * in_head[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Dropout, "mask", mask)
        patch.setattr(torch.nn.functional, "dropout", dropout)
        torch.manual_seed(4)
        outputs = model(batch)
    return outputs, gradients(model, outputs, batch), in_encoder, in_head


def padded_factors(drawn: Drawn, model: StandardModel, batch: Batch) -> Iterator[Tensor]:
    """The factors of the encoder in padded shapes, with ones where the packed pass has none."""
    num, longest = len(batch.lengths_S), int(batch.lengths_S.max())
    is_token_BL = torch.arange(longest) < batch.lengths_S[:, None]
    groups = layout(batch.lengths_S, torch.device("cpu"), torch.float32).groups
    heads = int(model.hf.config.num_attention_heads)
    waiting = iter(drawn)
    for factors in waiting:
        if factors.dim() == 2:
            is_first = len(factors) == num  # the last layer drops only at the first tokens
            shape = (num, longest, factors.shape[1])
            padded = torch.ones(shape)
            if is_first:
                padded[:, 0] = factors
            else:
                padded[is_token_BL] = factors[: int(is_token_BL.sum())]
            yield padded
        else:
            rest = [next(waiting) for _ in groups[1:]]
            yield of_attention([factors, *rest], groups, heads, (num, longest))


def of_attention(drawn: Drawn, groups: tuple[Group, ...], heads: int, size: tuple[int, int]) -> Tensor:
    """The factors of the attention probabilities of all groups, [B, A, L, L]."""
    num, longest = size
    padded = torch.ones(num, heads, longest, longest)
    for factors, group in zip(drawn, groups, strict=True):
        within = min(longest, group.longest)
        of_group = factors.view(group.num_rows, heads, -1, group.longest)[: group.num_sequences]
        num_queries = min(of_group.shape[2], longest)
        padded[group.sequences, :, :num_queries, :within] = of_group[:, :, :num_queries, :within]
    return padded


@pytest.mark.parametrize("lengths", [EQUAL_LENGTHS, UNEQUAL_LENGTHS, SEVERAL_GROUPS], ids=str)
@pytest.mark.parametrize("family", PACKED)
def test_the_same_masks_give_the_outputs_and_gradients_of_hugging_face(
    family: str, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = standard(family, attn_implementation="eager").train(), batch_for(family, lengths)
    outputs, found, in_encoder, in_head = packed_gradients(model, batch, monkeypatch)
    waiting = iter([*padded_factors(in_encoder, model, batch), *in_head])

    def dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        return x if p == 0 else x * next(waiting).reshape(x.shape)

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "dropout", dropout)
        expected = model.padded_forward(batch)
    assert next(waiting, None) is None
    torch.testing.assert_close(outputs, expected, atol=1e-5, rtol=0)
    assert_gradients_agree(found, gradients(model, expected, batch))


def test_the_masks_matter() -> None:
    model, batch = standard("bert").train(), batch_for("bert", UNEQUAL_LENGTHS)
    outputs = []
    for seed in (4, 5):
        torch.manual_seed(seed)
        outputs.append(model(batch).detach())
    assert float((outputs[0] - outputs[1]).abs().max()) > 0.05
