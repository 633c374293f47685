"""Dropout masks have the requested rate, keep the mean, follow torch's seed, and are independent."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from bertune.nn.dropout import Dropout

SHARES = [0.1, 0.3, 0.5, 0.9]
MANY = (500, 400)


def kept(p: float, seed: int, shape: tuple[int, ...] = MANY, like: Tensor | None = None) -> Tensor:
    torch.manual_seed(seed)
    mask = Dropout(is_training=True).mask(shape, p, torch.zeros(()) if like is None else like)
    assert mask is not None
    return mask.kept


def assert_unrelated(one: Tensor, other: Tensor) -> None:
    """Assert that two masks correlate no more than by chance (five standard deviations)."""
    pair = torch.stack([one.flatten(), other.flatten()])
    assert abs(float(torch.corrcoef(pair)[0, 1])) < 5 / pair.shape[1] ** 0.5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("p", SHARES)
def test_the_fraction_of_dropped_elements_is_as_set(p: float, seed: int) -> None:
    found = kept(p, seed)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    num = found.numel()
    assert abs(float(found.sum()) - num * (1 - p)) < 5 * (num * p * (1 - p)) ** 0.5


@pytest.mark.parametrize("p", [0.01, 1 / 3, *SHARES, 0.999])
def test_the_scale_compensates_for_dropped_elements(p: float) -> None:
    mask = Dropout(is_training=True).mask((8,), p, torch.zeros(()))
    assert mask is not None
    share = 1 / mask.scale
    assert share == pytest.approx(1 - p, abs=2**-17), "p is rounded to sixteen bits"
    assert share * 2**16 == pytest.approx(round(share * 2**16), abs=1e-6)


@pytest.mark.parametrize("p", SHARES)
def test_the_expected_output_equals_the_input(p: float) -> None:
    x = torch.tensor([3.0, -1.0, 0.5]).repeat(200_000, 1)
    torch.manual_seed(2)
    found = Dropout(is_training=True)(x, p).mean(0)
    error = x[0].abs() * (p / (1 - p) / len(x)) ** 0.5
    assert ((found - x[0]).abs() < 5 * error).all()


def test_a_rate_too_small_for_eight_bits_is_exact() -> None:
    dropped = 1 - kept(0.001, 5, (2000, 1000))
    assert float(dropped.mean()) == pytest.approx(0.001, abs=5 * (0.001 / dropped.numel()) ** 0.5)


def test_the_seed_of_torch_determines_every_mask() -> None:
    assert torch.equal(kept(0.3, seed=7), kept(0.3, seed=7))
    assert_unrelated(kept(0.3, seed=7), kept(0.3, seed=8))


def test_a_sequence_of_masks_is_reproducible() -> None:
    shapes = [(3, 5), (7,), (64, 2), (1,)]
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        dropout = Dropout(is_training=True)
        masks = [dropout.mask(shape, 0.4, torch.zeros(())) for shape in shapes]
        found.append(torch.cat([mask.kept.flatten() for mask in masks if mask is not None]))
    assert len(found[0]) == 15 + 7 + 128 + 1
    assert torch.equal(*found)


def test_masks_differ_between_layers() -> None:
    torch.manual_seed(1)
    dropout = Dropout(is_training=True)
    masks = [dropout.mask(MANY, 0.3, torch.zeros(())) for _ in range(4)]
    for one, other in itertools.combinations(masks, 2):
        assert one is not None
        assert other is not None
        assert_unrelated(one.kept, other.kept)


def test_masks_differ_between_passes() -> None:
    torch.manual_seed(1)
    passes = [Dropout(is_training=True).mask(MANY, 0.3, torch.zeros(())) for _ in range(4)]
    for one, other in itertools.combinations(passes, 2):
        assert one is not None
        assert other is not None
        assert_unrelated(one.kept, other.kept)


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 8, 400])
def test_elements_from_the_same_random_word_are_independent(distance: int) -> None:
    found = kept(0.3, seed=9, shape=(200_000,))
    assert_unrelated(found[:-distance], found[distance:])


@pytest.mark.parametrize("lane", range(4))
def test_every_16_bit_lane_has_the_rate_that_was_set(lane: int) -> None:
    found = kept(0.3, seed=9, shape=(400_000,))[lane::4]
    assert float(found.mean()) == pytest.approx(0.7, abs=5 * (0.21 / len(found)) ** 0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mask_has_the_dtype_of_its_input(dtype: torch.dtype) -> None:
    found = kept(0.3, seed=1, like=torch.zeros((), dtype=dtype))
    assert found.dtype == dtype
    assert torch.equal(found.float(), kept(0.3, seed=1))


def test_nothing_is_dropped_at_zero_or_in_evaluation() -> None:
    assert Dropout(is_training=True).mask((5,), 0.0, torch.zeros(())) is None
    assert Dropout(is_training=False).mask((5,), 0.5, torch.zeros(())) is None
    x, residual = torch.randn(5), torch.randn(5)
    for dropout, p in ((Dropout(is_training=True), 0.0), (Dropout(is_training=False), 0.5)):
        assert torch.equal(dropout(x, p), x)
        assert torch.equal(dropout.add(residual, x, p), residual + x)


def test_evaluation_does_not_use_the_generator_of_torch() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    Dropout(is_training=False).mask((5,), 0.5, torch.zeros(()))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fused_residual_dropout_equals_mask_scale_and_sum_with_its_gradient(dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    residual = torch.randn(64, 33, requires_grad=True)
    x = torch.randn(64, 33).to(dtype).requires_grad_()
    weights = torch.randn(64, 33)
    torch.manual_seed(5)
    found = Dropout(is_training=True).add(residual, x, 0.3)
    torch.manual_seed(5)
    mask = Dropout(is_training=True).mask((64, 33), 0.3, x)
    assert mask is not None
    expected = residual + x.float() * mask.kept.float() * mask.scale
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad((found * weights).sum(), (residual, x)),
        torch.autograd.grad((expected * weights).sum(), (residual, x)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_dropout_equals_that_of_torch_with_the_same_mask() -> None:
    x = torch.randn(64, 33, requires_grad=True)
    torch.manual_seed(5)
    found = Dropout(is_training=True)(x, 0.25)
    share = kept(0.25, seed=5, shape=(64, 33))
    torch.testing.assert_close(found, x * share / 0.75)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    torch.testing.assert_close(gradient, share / 0.75)


def test_the_number_of_dropped_elements_is_binomial() -> None:
    counts = np.array([float(kept(0.3, seed, (1000,)).sum()) for seed in range(400)])
    assert counts.mean() == pytest.approx(700, abs=5 * (210 / 400) ** 0.5)
    assert counts.var() == pytest.approx(210, rel=5 * (2 / 400) ** 0.5)
