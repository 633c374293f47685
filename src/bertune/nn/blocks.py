"""Parameters grouped into blocks (embeddings, layers, head), and freezing."""

from dataclasses import dataclass

from torch import nn

from bertune.encoder_config import refuse_missing_layers
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
    """The parameters by block, in order: embeddings, each layer, the rest of the encoder, the head."""
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
    """Freeze the embeddings, the embeddings and the first k layers, or the whole encoder.

    Dropout in the frozen part is disabled in training too, so that its output depends only on the text and
    can be computed once. (Setting `requires_grad = False` alone would leave dropout enabled.) Raises
    ConfigError if the model has fewer layers.
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
                f"train.freeze={what}: all layers of {model.encoder.config.model_type} share their weights, "
                "so they cannot be frozen one by one. Use none, embeddings or encoder"
            )
        refuse_missing_layers(num_layers, len(layers))
        frozen = _embedding_parameters(model)
        for layer in layers[:num_layers]:
            frozen += list(layer.parameters())
    for parameter in frozen:
        parameter.requires_grad_(False)


def _embedding_parameters(model: TextModel) -> list[nn.Parameter]:
    """The parameters of the embeddings, including the projection of ELECTRA."""
    project = getattr(model.encoder, "embeddings_project", None)
    return [*model.encoder.embeddings.parameters(), *(project.parameters() if project else ())]


def _layers(model: TextModel) -> list[nn.Module]:
    """The layers of the encoder, lowest first: the first module list with the configured length."""
    expected = model.encoder.config.num_hidden_layers
    for module in model.encoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == expected:
            return list(module)
    return []  # ALBERT: all layers share their weights
