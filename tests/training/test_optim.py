"""The learning-rate schedule equals that of BERT, and a step equals plain AdamW with clipping."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from transformers import get_linear_schedule_with_warmup

from bertune.config import OptimizerConfig, TrainConfig
from bertune.training.optim import Optimizer, learning_rate, total_steps, warmup_steps


@pytest.mark.parametrize(("warmup", "total"), [(0, 7), (1, 7), (3, 20), (7, 7), (20, 20), (9, 5)])
def test_the_learning_rate_equals_that_of_transformers_at_every_step(warmup: int, total: int) -> None:
    adamw = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=3e-5)
    schedule = get_linear_schedule_with_warmup(adamw, warmup, total)
    for step in range(total):
        assert learning_rate(step, 3e-5, warmup, total) == pytest.approx(
            adamw.param_groups[0]["lr"], abs=1e-20
        )
        adamw.step()
        schedule.step()


@pytest.mark.parametrize(
    ("epochs", "per_epoch", "expected"),
    [(3, 7, 21), (0.5, 7, 4), (0.1, 7, 1), (0.01, 7, 1), (1.1, 10, 11), (2.3, 10, 23), (1, 1, 1)],
)
def test_a_fraction_of_an_epoch_is_rounded_up_to_whole_steps(
    epochs: float, per_epoch: int, expected: int
) -> None:
    assert total_steps(TrainConfig(epochs=epochs), per_epoch) == expected


@pytest.mark.parametrize(
    ("warmup", "total", "expected"), [(0.1, 100, 10), (0.1, 101, 11), (0, 100, 0), (1, 100, 1), (25, 100, 25)]
)
def test_warmup_is_a_fraction_below_one_and_a_number_of_steps_above(
    warmup: float, total: int, expected: int
) -> None:
    assert warmup_steps(TrainConfig(warmup=warmup), total) == expected


@pytest.mark.parametrize("total", [30, 70, 90, 110, 230, 290, 1070])
def test_a_tenth_of_a_round_number_of_steps_is_a_tenth(total: int) -> None:
    assert warmup_steps(TrainConfig(warmup=0.1), total) == total // 10


class Small(nn.Module):
    """One parameter of each kind that weight decay distinguishes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.words = nn.Embedding(11, 6)
        self.dense = nn.Linear(6, 5)
        self.LayerNorm = nn.LayerNorm(5)
        self.frozen = nn.Linear(5, 5)
        self.unused = nn.Linear(3, 2)
        self.frozen.requires_grad_(False)

    def loss(self, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(11, (7,), generator=generator)
        return (self.frozen(self.LayerNorm(self.dense(self.words(ids)))) ** 3).sum() * 5


def reference(model: Small, train: TrainConfig, config: OptimizerConfig, lrs: list[float]) -> list[float]:
    decayed = [model.words.weight, model.dense.weight, model.unused.weight]
    plain = [model.dense.bias, model.LayerNorm.weight, model.LayerNorm.bias, model.unused.bias]
    adamw = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": train.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        betas=(config.beta1, config.beta2), eps=config.eps, fused=False, foreach=False,
    )  # fmt: skip
    norms = []
    for step, lr in enumerate(lrs):
        adamw.zero_grad()
        model.loss(step).backward()
        norms.append(float(nn.utils.clip_grad_norm_(decayed + plain, config.max_grad_norm or math.inf)))
        for group in adamw.param_groups:
            group["lr"] = lr
        adamw.step()
    return norms


@pytest.mark.parametrize("clip", [0.0, 0.7, 1e9])
@pytest.mark.parametrize("more", [{}, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}])
def test_a_step_equals_plain_adamw_with_clipping_and_decay_groups(clip: float, more: dict[str, Any]) -> None:
    train, config = TrainConfig(weight_decay=0.3), OptimizerConfig(max_grad_norm=clip, **more)
    lrs = [0.1 / (i + 1) for i in range(8)]
    expected = Small()
    expected_norms = reference(expected, train, config, lrs)
    found = Small()
    optimizer = Optimizer(found, train, config)
    norms = []
    for step, lr in enumerate(lrs):
        optimizer.zero_gradients()
        found.loss(step).backward()
        norms.append(optimizer.step(lr))
    assert norms == pytest.approx(expected_norms, rel=1e-4)
    assert min(norms) > 0.7, "clipping has something to do"
    for (name, p), q in zip(found.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=2e-5, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_a_restored_optimizer_continues_bit_for_bit() -> None:
    train, config = TrainConfig(), OptimizerConfig()

    def steps(model: Small, optimizer: Optimizer, numbers: range) -> None:
        for step in numbers:
            optimizer.zero_gradients()
            model.loss(step).backward()
            optimizer.step(0.01)

    whole = Small()
    steps(whole, Optimizer(whole, train, config), range(6))
    first, second = Small(), Small()
    before = Optimizer(first, train, config)
    steps(first, before, range(3))
    after = Optimizer(second, train, config)
    second.load_state_dict(first.state_dict())
    after.load_state({name: tensor.clone() for name, tensor in before.state().items()})
    steps(second, after, range(3, 6))
    for p, q in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_step_with_a_summed_loss_equals_one_with_the_mean() -> None:
    """Also with clipping: both divisions are one operation."""
    summed, mean = Small(), Small()
    mean.load_state_dict(summed.state_dict())
    norms = []
    for model, factor in ((summed, 4.0), (mean, 1.0)):
        optimizer = Optimizer(model, TrainConfig(), OptimizerConfig(max_grad_norm=0.01))
        for number in range(3):
            optimizer.zero_gradients()
            (model.loss(number) * factor).backward()
            norms.append(optimizer.step(0.01, num_terms=factor))
    torch.testing.assert_close(norms[:3], norms[3:])
    for p, q in zip(summed.parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(p, q)
