"""The optimizer step: parameter groups, learning-rate schedule, gradient clipping and AdamW."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from bertune.config import OptimizerConfig, TrainConfig
from bertune.nn.vocabulary import tables


def total_steps(config: TrainConfig, steps_per_epoch: int) -> int:
    """The number of optimizer steps of the whole training; a partial epoch is rounded up."""
    return max(1, math.ceil(round(config.epochs * steps_per_epoch, 6)))


def warmup_steps(config: TrainConfig, total: int) -> int:
    """The number of warmup steps; a fraction is rounded up, as in the Trainer of transformers."""
    return int(config.warmup) if config.warmup >= 1 else math.ceil(config.warmup * total)


def learning_rate(step: int, peak: float, warmup: int, total: int) -> float:
    """The learning rate after `step` steps: linear warmup to `peak`, then linear decay to 0."""
    if step < warmup:
        return peak * step / max(1, warmup)
    return peak * max(0.0, (total - step) / max(1, total - warmup))


class Optimizer:
    """AdamW over the trainable parameters, with clipping by the global gradient norm."""

    def __init__(self, model: nn.Module, train: TrainConfig, config: OptimizerConfig) -> None:
        decayed, plain = _groups(model)
        self.parameters = decayed + plain
        self._clip = config.max_grad_norm
        self._decay = train.weight_decay
        self._compact = {id(table.weight): table for table in tables(model)}
        self._groups = ((decayed, train.weight_decay), (plain, 0.0))
        self._config = config
        self._state: dict[nn.Parameter, dict[str, Tensor]] = {}  # by the names of torch.optim.AdamW

    def zero_gradients(self) -> None:
        """Set the gradients to None, so that the first backward pass of a step writes instead of adding."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, lr: float, num_terms: Tensor | float = 1.0) -> Tensor:
        """Update by the mean gradient of `num_terms` summed losses; returns the norm before clipping.

        The divisions by the number of terms and by the clipping factor are one division inside the kernel. A
        separate pass over all gradients would take as long as the update takes to read them.
        """
        total = torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        norm = total / num_terms
        divisor = torch.as_tensor(num_terms, dtype=torch.float32, device=total.device)
        if self._clip:
            divisor = divisor * ((norm + 1e-6) / self._clip).clamp(min=1.0)  # as in clip_grad_norm_
        for parameters, weight_decay in self._groups:
            self._update([p for p in parameters if p.grad is not None], lr, weight_decay, divisor)
        # The fused kernel does not increment the version of the parameters, which invalidates compute copies.
        torch.autograd.graph.increment_version(self.parameters)
        for table in self._compact.values():
            table.note_step(lr, self._decay)
        return norm

    def _update(
        self, parameters: list[nn.Parameter], lr: float, weight_decay: float, divisor: Tensor
    ) -> None:
        """One step of the fused AdamW for parameters with gradients.

        The function, not the class torch.optim.AdamW, which imports torch's compiler: that takes seconds.
        """
        if not parameters:
            return
        states = [self._moments(parameter) for parameter in parameters]
        with torch.no_grad():
            adamw(
                cast(list[Tensor], parameters),
                [p.grad for p in parameters if p.grad is not None],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=True,
                grad_scale=divisor,
                found_inf=torch.zeros((), device=divisor.device),
                amsgrad=False,
                lr=lr,
                weight_decay=weight_decay,
                maximize=False,
                beta1=self._config.beta1,
                beta2=self._config.beta2,
                eps=self._config.eps,
            )

    def _moments(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        if parameter not in self._state:
            self._state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }
        return self._state[parameter]

    def reset(self) -> None:
        """Free moments and gradients after the last step."""
        self.zero_gradients()
        self._state.clear()

    def state(self) -> dict[str, torch.Tensor]:
        """Moments and step counts by parameter position, for a checkpoint. Compact tables are expanded."""
        tensors = {}
        for position, parameter in enumerate(self.parameters):
            table = self._compact.get(id(parameter))
            for name, value in self._state.get(parameter, {}).items():
                tensors[f"{position}.{name}"] = table.spread(value) if table and value.dim() else value
        return tensors

    def load_state(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore a state returned by `state`."""
        for key, value in tensors.items():
            position, name = key.split(".", 1)
            parameter = self.parameters[int(position)]
            table = self._compact.get(id(parameter))
            rows = table.gather(value) if table and value.dim() else value
            # The fused kernel of AdamW requires the step counts on the device of the parameter.
            self._state.setdefault(parameter, {})[name] = rows.to(parameter.device)


def _groups(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trainable parameters with weight decay, and those without: biases and normalization weights."""
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
