"""Variable-length attention agrees with attention group by group.

The kernel itself runs on CUDA devices only. Elsewhere, a plain implementation that follows its
documentation replaces it, which still tests the arguments: rows, edges and dropout.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from families import EQUAL_LENGTHS, NO_DROPOUT, SEVERAL_GROUPS, UNEQUAL_LENGTHS, batch_for, standard
from torch import Tensor
from torch.nn.functional import dropout, scaled_dot_product_attention

from bertune.nn import packed
from bertune.nn.attention import attention
from bertune.nn.dropout import Dropout
from bertune.nn.flash import can_flash, flash_attention
from bertune.nn.layout import layout
from bertune.nn.packed import PackedEncoder, first_token_layer, full_layer

HAS_KERNEL = torch.cuda.is_available()
DEVICE = torch.device("cuda" if HAS_KERNEL else "cpu")
DTYPE = torch.bfloat16 if HAS_KERNEL else torch.float32
CLOSE: dict[str, Any] = {"atol": 2e-2, "rtol": 2e-2} if HAS_KERNEL else {"atol": 1e-5, "rtol": 1e-4}
HEADS, SIZE = 4, 8
LENGTHS = [EQUAL_LENGTHS, UNEQUAL_LENGTHS, SEVERAL_GROUPS, (203, 7), (1,)]
NONE = Dropout(is_training=False)


def documented(query: Tensor, key: Tensor, value: Tensor, *more: Any, **_: Any) -> tuple[Tensor, ...]:
    """The queries of a sequence attend to its own keys; sequences begin and end at `edges`."""
    edges_q, edges_k, longest_q, longest_k, p, is_causal, _ = more
    assert edges_q.dtype == edges_k.dtype == torch.int32 and not is_causal
    contexts = []
    of_each = _cut(query, edges_q), _cut(key, edges_k), _cut(value, edges_k)
    for q, k, v in zip(*of_each, strict=True):
        assert len(q) <= longest_q and len(k) <= longest_k
        found = scaled_dot_product_attention(q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1))
        contexts.append(dropout(found, p).transpose(0, 1))
    empty = query.new_empty(0)
    return torch.cat(contexts), empty, empty, empty, empty


def _cut(rows: Tensor, edges: Tensor) -> tuple[Tensor, ...]:
    assert edges[0] == 0 and edges[-1] == len(rows)
    return rows.split(edges.diff().tolist())


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if HAS_KERNEL:
        yield
        return
    with torch.library._scoped_library("aten", "IMPL") as library:
        library.impl("_flash_attention_forward", documented, "AutogradCPU", allow_override=True)
        library.impl("_flash_attention_forward", documented, "CPU", allow_override=True)
        monkeypatch.setattr(packed, "can_flash", lambda *_: True)
        yield


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_flash_attention_and_its_gradient_equal_grouped_attention(lengths: tuple[int, ...]) -> None:
    there = layout(torch.tensor(lengths), DEVICE, DTYPE)
    torch.manual_seed(4)
    qkv_RE = torch.randn(there.num_rows, 3 * HEADS * SIZE, device=DEVICE, dtype=DTYPE).requires_grad_()
    weights_RH = torch.randn(there.num_rows, HEADS * SIZE, device=DEVICE, dtype=DTYPE)
    found = flash_attention(qkv_RE, HEADS, there, NONE, 0.1)
    expected = attention(qkv_RE, HEADS, there, NONE, 0.1)
    torch.testing.assert_close(found, expected, **CLOSE)
    gradients = [torch.autograd.grad((out * weights_RH).sum(), qkv_RE)[0] for out in (found, expected)]
    torch.testing.assert_close(gradients[0][: sum(lengths)], gradients[1][: sum(lengths)], **CLOSE)


@pytest.mark.parametrize("last_layer", [full_layer, first_token_layer])
@pytest.mark.parametrize("is_training", [True, False])
def test_an_encoder_with_flash_attention_gives_the_same_outputs(
    last_layer: Any, is_training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = (
        standard("bert", hidden_size=HEADS * SIZE, **NO_DROPOUT["bert"]).encoder.train(is_training).to(DEVICE)
    )
    batch = batch_for("bert", UNEQUAL_LENGTHS).to(DEVICE)

    def passed(with_it: bool, in_half: bool) -> Tensor:
        """The outputs and, in training, all gradients in the order of their names."""
        monkeypatch.setattr(packed, "can_flash", lambda *_: with_it)
        encoder.zero_grad()
        with torch.set_grad_enabled(is_training), torch.autocast(DEVICE.type, DTYPE, enabled=in_half):
            hidden = PackedEncoder(encoder, last_layer)(batch).float()
        found = [hidden.detach().flatten()]
        if is_training:
            hidden.square().sum().backward()
            found += [p.grad.flatten().clone() for _, p in encoder.named_parameters() if p.grad is not None]
        return torch.cat(found)

    exact = passed(with_it=False, in_half=False)
    errors = {way: float((passed(way, in_half=HAS_KERNEL) - exact).norm()) for way in (True, False)}
    if HAS_KERNEL:  # both ways have rounding errors in bf16; those of the kernel must not be much larger
        assert 0 < errors[True] < 2 * errors[False]
    else:
        assert errors[True] < 1e-5 * float(exact.norm())


def test_dropout_is_applied_only_in_training_and_is_reproducible() -> None:
    there = layout(torch.tensor(UNEQUAL_LENGTHS), DEVICE, DTYPE)
    qkv_RE = torch.randn(there.num_rows, 3 * HEADS * SIZE, device=DEVICE, dtype=DTYPE)

    def drawn(seed: int, is_training: bool = True) -> Tensor:
        torch.manual_seed(seed)
        return flash_attention(qkv_RE, HEADS, there, Dropout(is_training), 0.5)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert torch.equal(drawn(1, is_training=False), drawn(2, is_training=False))


def test_flash_attention_is_used_only_on_cuda_in_half_precision() -> None:
    assert not can_flash(torch.zeros(3, 64, dtype=torch.bfloat16), 4)
    if HAS_KERNEL:
        assert can_flash(torch.zeros(3, 64, dtype=torch.bfloat16, device=DEVICE), 4)
        assert not can_flash(torch.zeros(3, 64, device=DEVICE), 4), "fp32"
        assert not can_flash(torch.zeros(3, 20, dtype=torch.bfloat16, device=DEVICE), 4), "heads of 5"


def test_the_operator_takes_these_arguments_and_has_a_gradient() -> None:
    """The signature that torch declares: only shapes, for tensors without data."""
    lengths = torch.tensor(UNEQUAL_LENGTHS)
    there = layout(lengths, torch.device("meta"), torch.bfloat16)
    qkv_RE = torch.empty(there.num_rows, 3 * HEADS * SIZE, device="meta", dtype=torch.bfloat16)
    qkv_RE.requires_grad_()
    context_RH = flash_attention(qkv_RE, HEADS, there, Dropout(is_training=True), 0.1)
    assert context_RH.shape == (there.num_rows, HEADS * SIZE)
    assert "FlashAttentionBackward" in _names(context_RH.grad_fn)
    context_RH.sum().backward()
    assert qkv_RE.grad is not None and qkv_RE.grad.shape == qkv_RE.shape


def _names(function: Any) -> str:
    more = "".join(_names(parent) for parent, _ in function.next_functions if parent is not None)
    return type(function).__name__ + " " + more
