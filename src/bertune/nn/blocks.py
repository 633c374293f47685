"""Owns a model's parameters seen as blocks: embeddings, layers, head; and which of them are frozen."""

from dataclasses import dataclass

from torch import nn

from bertune.errors import ConfigError
from bertune.nn.model import TextModel


@dataclass(frozen=True)
class Block:
    """A named part of the model."""

    name: str
    parameters: list[nn.Parameter]

    @property
    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters)

    @property
    def is_trained(self) -> bool:
        return any(p.requires_grad for p in self.parameters)


def blocks(model: TextModel) -> list[Block]:
    """The model's parameters by block, in order: embeddings, each layer, the encoder's rest, the head."""
    layers = _layers(model)
    owner: dict[int, str] = {}
    for parameter in _embedding_parameters(model):
        owner[id(parameter)] = "embeddings"
    for number, layer in enumerate(layers):
        owner.update({id(parameter): f"layer {number}" for parameter in layer.parameters()})
    for name, parameter in model.encoder.named_parameters():
        owner.setdefault(id(parameter), "pooler" if name.startswith("pooler") else "encoder")
    names = ["embeddings", *(f"layer {n}" for n in range(len(layers))), "encoder", "pooler", "head"]
    members: dict[str, list[nn.Parameter]] = {name: [] for name in names}
    for parameter in model.parameters():
        members[owner.get(id(parameter), "head")].append(parameter)
    return [Block(name, parameters) for name, parameters in members.items() if parameters]


def freeze(model: TextModel, what: str | int) -> None:
    """Takes gradients off the embeddings, the first k layers with the embeddings, or the whole encoder.

    Dropout in the frozen part is off while training too: its output then depends on the text alone and can be
    computed once. (With `requires_grad = False` alone, plain PyTorch would go on dropping.)
    Raises ConfigError when the model has fewer layers.
    """
    if what == "none":
        return
    if what == "encoder":
        frozen = list(model.encoder.parameters())
    else:
        layers = _layers(model)
        num_layers = what if isinstance(what, int) else 0
        if num_layers and not layers:
            raise ConfigError(
                f"train.freeze={what}: {model.encoder.config.model_type} shares one layer's weights"
            )
        if num_layers > len(layers):
            raise ConfigError(f"train.freeze={what}: this encoder has {len(layers)} layers")
        frozen = _embedding_parameters(model)
        for layer in layers[:num_layers]:
            frozen += list(layer.parameters())
    for parameter in frozen:
        parameter.requires_grad_(False)


def _embedding_parameters(model: TextModel) -> list[nn.Parameter]:
    """Those of the embeddings, with the projection that ELECTRA puts after narrow ones."""
    project = getattr(model.encoder, "embeddings_project", None)
    return [*model.encoder.embeddings.parameters(), *(project.parameters() if project else ())]


def _layers(model: TextModel) -> list[nn.Module]:
    """The encoder's layers, bottom first: the first module list as long as the configuration says."""
    expected = model.encoder.config.num_hidden_layers
    for module in model.encoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == expected:
            return list(module)
    return []  # as in ALBERT, whose layers share their weights
