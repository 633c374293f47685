"""The packed forward pass in bf16 is as precise as the Hugging Face one under autocast."""

import pytest
import torch
from families import NO_DROPOUT, PACKED, batch_of, standard, with_own_head
from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.nn.batch import Batch
from bertune.nn.model import CustomHeadModel, StandardModel, TextModel

LENGTHS = tuple(range(46, 2, -1)) + (20,) * 20
LARGER = {
    "hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 256, "embedding_size": 64,
    "initializer_range": 0.06,
}  # fmt: skip
LARGER_DISTILBERT = {"dim": 128, "n_layers": 4, "hidden_dim": 256, "initializer_range": 0.06}


def larger(family: str) -> StandardModel:
    sizes = LARGER_DISTILBERT if family == "distilbert" else LARGER
    return standard(family, **sizes, **NO_DROPOUT[family])


def both_in_bf16(model: TextModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Packed and padded outputs."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return model(batch), model.padded_forward(batch)


def error(found: Tensor, exact: Tensor) -> float:
    return float((found.float() - exact).square().mean().sqrt())


@pytest.mark.parametrize("family", PACKED)
def test_packed_logits_are_as_accurate_as_those_of_hugging_face(family: str) -> None:
    model, batch = larger(family), batch_of(LENGTHS)
    with torch.no_grad():
        exact = model.padded_forward(batch)
        packed, padded = both_in_bf16(model, batch)
    assert padded.dtype == torch.bfloat16
    assert packed.dtype == torch.float32, "rounded to bf16 many would tie"
    assert len(packed[:, 0].unique()) > 0.9 * len(LENGTHS)
    assert 0 < error(packed, exact) < 1.5 * error(padded, exact)
    assert error(padded, exact) < 0.2 * float(exact.std(0).mean()), "the logits mean something"


@pytest.mark.parametrize("family", PACKED)
def test_packed_gradients_are_as_accurate_as_those_of_hugging_face(family: str) -> None:
    model, batch = larger(family).train(), batch_of(LENGTHS)
    exact = flat_gradient(model, model.padded_forward(batch), batch)
    packed, padded = both_in_bf16(model, batch)
    of_packed = error(flat_gradient(model, packed, batch), exact)
    of_padded = error(flat_gradient(model, padded, batch), exact)
    assert 0 < of_packed < 1.5 * of_padded


def flat_gradient(model: TextModel, outputs: Tensor, batch: Batch) -> Tensor:
    assert batch.gold is not None
    model.zero_grad()
    cross_entropy(outputs.float(), batch.gold).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("family", PACKED)
def test_a_custom_head_gets_hidden_states_in_full_precision(family: str) -> None:
    model, batch, seen = with_own_head(family), batch_of((30, 20, 10)), list[Tensor]()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        CustomHeadModel(model.hf, Keeping(seen, model.head))(batch)
    assert [hidden_TH.dtype for hidden_TH in seen] == [torch.float32]


class Keeping(torch.nn.Module):
    """A head that keeps its input."""

    def __init__(self, seen: list[Tensor], head: torch.nn.Module) -> None:
        super().__init__()
        self.seen, self.head = seen, head

    def forward(self, hidden_TH: Tensor, batch: Batch) -> Tensor:
        self.seen.append(hidden_TH)
        outputs: Tensor = self.head(hidden_TH, batch)
        return outputs


def test_fp32_after_bf16_is_exact() -> None:
    model, batch = larger("bert"), batch_of((9, 5))
    with torch.no_grad():
        before = model(batch)
        both_in_bf16(model, batch)
        assert torch.equal(model(batch), before)
