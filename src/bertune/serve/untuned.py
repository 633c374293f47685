"""Pretrained encoders without fine-tuning, served for embeddings. Needs torch."""

import torch

from bertune.config import Config, ModelConfig, TaskConfig
from bertune.data.columns import Columns
from bertune.errors import ConfigError, ModelError
from bertune.hugging_face import most_tokens
from bertune.metadata import ModelMetadata
from bertune.nn.device import make_machine
from bertune.nn.memory import memory_errors
from bertune.nn.pooling import PooledEncoder
from bertune.nn.pretrained import find_pretrained
from bertune.predict.model import Model
from bertune.predict.torch_backend import TorchBackend
from bertune.saved_model import new_model
from bertune.tasks import make_task
from bertune.tasks.encoder import TextEncoder
from bertune.text.tokenizer import Tokenizer


def load_untuned(name: str, config: Config) -> Model:
    """The encoder `name`, as model.name accepts it, as a model for embeddings.

    serve.pooling and serve.layer choose the vectors, model.max_length the number of tokens. Raises ModelError
    if it cannot be found or has no pretrained weights, and ConfigError for settings that do not fit it.
    """
    pretrained = find_pretrained(name)
    if pretrained.weights != "pretrained":
        raise ModelError(
            f"{pretrained.folder} has no model.safetensors. Use a folder with pretrained weights"
        )
    task = TaskConfig(name="embeddings")
    fitted = make_task(task).fitted()
    with torch.random.fork_rng(devices=[]):
        built = new_model(pretrained, ModelConfig(name=name), fitted)
    encoder = built.encoder
    tokenizer = Tokenizer.pretrained(pretrained.folder)
    longest = most_tokens(encoder.config, tokenizer.max_length)
    length = longest if config.model.max_length == "auto" else int(config.model.max_length)
    if length > longest:
        raise ConfigError(
            f"model.max_length={length}: {name} takes at most {longest:,} tokens. Set {longest} or less, or "
            "model.max_length=auto"
        )
    metadata = ModelMetadata(task, (), length, Columns(("text",), None, None), {}, length_limit=longest)
    with memory_errors():
        machine = make_machine(config.machine)
        model = PooledEncoder(encoder, config.serve.pooling, config.serve.layer).eval().to(machine.device)
    backend = TorchBackend(model, fitted, machine)
    return Model(metadata, TextEncoder(fitted.bound(tokenizer), tokenizer, length), backend, config.data)
