"""Owns the optimizer step: parameter groups, the learning-rate schedule, clipping, AdamW."""

import math

import torch
from torch import Tensor, nn

from bertune.config import OptimizerConfig, TrainConfig
from bertune.nn.vocabulary import tables


def total_steps(config: TrainConfig, steps_per_epoch: int) -> int:
    """Optimizer steps of the whole training; a fraction of an epoch is rounded up."""
    return max(1, math.ceil(round(config.epochs * steps_per_epoch, 6)))


def warmup_steps(config: TrainConfig, total: int) -> int:
    """Steps over which the learning rate rises from 0; a share is rounded up, as Trainer does."""
    return int(config.warmup) if config.warmup >= 1 else math.ceil(config.warmup * total)


def learning_rate(step: int, peak: float, warmup: int, total: int) -> float:
    """The rate of the step taken after `step` others: linear up to `peak`, then linear down to 0."""
    if step < warmup:
        return peak * step / max(1, warmup)
    return peak * max(0.0, (total - step) / max(1, total - warmup))


class Optimizer:
    """AdamW over the trained parameters, with clipping by the global norm."""

    def __init__(self, model: nn.Module, train: TrainConfig, config: OptimizerConfig) -> None:
        decayed, plain = _groups(model)
        self.parameters = decayed + plain
        self._clip = config.max_grad_norm
        self._decay = train.weight_decay
        self._compact = {id(table.weight): table for table in tables(model)}
        self._adamw = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": train.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=train.lr,
            betas=(config.beta1, config.beta2),
            eps=config.eps,
            fused=True,
        )

    def zero_gradients(self) -> None:
        """Forgets the gradients; the first backward pass of a step then writes where it would have to add."""
        self._adamw.zero_grad(set_to_none=True)

    def step(self, lr: float, num_terms: Tensor | float = 1.0) -> Tensor:
        """Updates by the mean of `num_terms` summed losses; returns the gradient norm before clipping.

        The division by the number of terms and by the clipping factor is one division, done inside the
        kernel: a pass of its own over every gradient would cost as much as the update's reading of them.
        """
        total = torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        norm = total / num_terms
        divisor = torch.as_tensor(num_terms, dtype=torch.float32, device=total.device)
        if self._clip:
            divisor = divisor * ((norm + 1e-6) / self._clip).clamp(min=1.0)  # as clip_grad_norm_ has it
        self._adamw.grad_scale = divisor  # type: ignore[attr-defined]
        self._adamw.found_inf = torch.zeros((), device=total.device)  # type: ignore[attr-defined]
        for group in self._adamw.param_groups:
            group["lr"] = lr
        self._adamw.step()
        # The fused kernel does not count as a change of the parameters, and what is made of them must know.
        torch.autograd.graph.increment_version(self.parameters)
        for table in self._compact.values():
            table.note_step(lr, self._decay)
        return norm

    def reset(self) -> None:
        """Frees moments and gradients, once no step is left."""
        self.zero_gradients()
        self._adamw.state.clear()

    def state(self) -> dict[str, torch.Tensor]:
        """Moments and step counts by parameter position, for a checkpoint; of whole tables throughout."""
        tensors = {}
        for position, parameter in enumerate(self.parameters):
            table = self._compact.get(id(parameter))
            for name, value in self._adamw.state.get(parameter, {}).items():
                tensors[f"{position}.{name}"] = table.spread(value) if table and value.dim() else value
        return tensors

    def load_state(self, tensors: dict[str, torch.Tensor]) -> None:
        """Takes back what `state` gave."""
        for key, value in tensors.items():
            position, name = key.split(".", 1)
            parameter = self.parameters[int(position)]
            table = self._compact.get(id(parameter))
            rows = table.gather(value) if table and value.dim() else value
            # AdamW keeps its step counts where its fused kernel wants them: beside the parameter.
            self._adamw.state[parameter][name] = rows.to(parameter.device)


def _groups(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trained parameters with weight decay, and those without: biases and normalisation weights."""
    norms = {
        id(parameter)
        for module in model.modules()
        if "norm" in type(module).__name__.lower()
        for parameter in module.parameters(recurse=False)
    }
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_plain = id(parameter) in norms or name.endswith("bias")
            (plain if is_plain else decayed).append(parameter)
    return decayed, plain
