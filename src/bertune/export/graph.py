"""Export a saved model as an ONNX graph with the input and output names that other programs expect.

Dimensions: B sequences of a batch, K choices, L longest sequence, T tokens without padding, H hidden size, C
outputs.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bertune.errors import ModelError
from bertune.export import protos
from bertune.export.first_token import narrow_to_first_token
from bertune.metadata import ModelMetadata
from bertune.nn import model as nn_model
from bertune.nn.batch import Batch
from bertune.nn.model import CustomHeadModel
from bertune.saved_model import own_head
from bertune.tasks.head_spec import HeadSpec

OPSET = 20  # the first with Gelu, which is faster than its parts; ONNX Runtime 1.17 (2024) runs it
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
CHOICES = "AutoModelForMultipleChoice"
HIDDEN, POOLED = "last_hidden_state", "sentence_embedding"
MEAN = "mean"  # pooling of the vectors of all tokens, special tokens included
# The outputs of a graph by the transformers class of the model. That of a custom head is "logits".
OUTPUTS = {
    "AutoModelForSequenceClassification": ("logits",),
    "AutoModelForMultipleChoice": ("logits",),
    "AutoModelForTokenClassification": ("logits",),
    "AutoModelForMaskedLM": ("logits",),
    "AutoModelForQuestionAnswering": ("start_logits", "end_logits"),
    "AutoModel": (HIDDEN, POOLED),
}
_BATCH = "batch_size"
_DIMENSIONS = {2: (_BATCH, "sequence_length"), 3: (_BATCH, "num_choices", "sequence_length")}


@dataclass(frozen=True)
class GraphFacts:
    """The facts, besides the graph itself, that a program needs to run it."""

    auto_class: str  # AutoModel for a custom head, which has the inputs of a bare encoder
    outputs: tuple[str, ...]
    pooling: str | None
    vocab_size: int
    pad_id: int


def write_graph(folder: Path, metadata: ModelMetadata, head: HeadSpec, path: Path) -> GraphFacts:
    """Write the model in `folder` to `path` as a graph with dynamic batch size and length, in fp32.

    The graph contains the forward pass of transformers, on padded input. `metadata` names the file of a
    custom head. Raises ModelError for a model that torch cannot export.
    """
    model = nn_model.load(folder, _head(metadata, head, folder))
    model.hf.set_attn_implementation("eager")  # a simpler graph, which ONNX Runtime runs faster
    config = model.encoder.config
    has_types = getattr(config, "type_vocab_size", 0) > 1
    inputs = INPUTS if has_types else INPUTS[:2]
    auto_class = head.auto_class
    advice = ". Use --to safetensors"
    if isinstance(model, CustomHeadModel):
        auto_class = "AutoModel"
        module: nn.Module = _CustomGraph(model.hf, model.head, head.per_token)
        outputs: tuple[str, ...] = ("logits",)
        advice = (
            f". The head {metadata.head} must compute with tensors only: the exporter cannot follow Python "
            "loops and conditions that depend on the lengths of texts"
        )
    else:
        module = _StandardGraph(model.hf, auto_class)
        outputs = OUTPUTS.get(auto_class, ())
    if not outputs:
        raise ModelError(
            f"{folder}: a model of the class {auto_class} cannot be exported as a graph. Use --to safetensors"
        )
    example = _example(inputs, 3 if auto_class == CHOICES else None, config.vocab_size)
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                module.eval(),
                kwargs=example,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes={name: dict(enumerate(_DIMENSIONS[x.ndim])) for name, x in example.items()},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            raise ModelError(
                f"{folder}: torch cannot export this model to ONNX ({_reason(error)}){advice}"
            ) from error
    assert program is not None, "with dynamo, torch returns the graph"
    proto = program.model_proto
    for output in proto.graph.output:  # for some families torch gives it as an expression
        output.type.tensor_type.shape.dim[0].dim_param = _BATCH
    narrow_to_first_token(proto)
    protos.tidy(proto)
    protos.save(proto, path)
    pooling = MEAN if POOLED in outputs else None
    return GraphFacts(auto_class, outputs, pooling, config.vocab_size, config.pad_token_id or 0)


def _head(metadata: ModelMetadata, head: HeadSpec, folder: Path) -> HeadSpec | nn.Module:
    if metadata.head == "auto":
        return head
    from bertune.hugging_face import load_config

    return own_head(metadata.head, head, load_config(folder))


class _StandardGraph(nn.Module):
    """A Hugging Face model whose outputs are a tuple of tensors in the order of OUTPUTS."""

    def __init__(self, hf: Any, auto_class: str) -> None:
        super().__init__()
        self.hf = hf
        self.is_encoder = auto_class == "AutoModel"
        self.is_span = auto_class == "AutoModelForQuestionAnswering"

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        found = self.hf(**_inputs(input_ids, attention_mask, token_type_ids))
        if self.is_span:
            return found.start_logits, found.end_logits
        if self.is_encoder:
            hidden_BLH = found.last_hidden_state
            mask_BL1 = attention_mask[:, :, None].to(hidden_BLH.dtype)
            return hidden_BLH, (hidden_BLH * mask_BL1).sum(1) / mask_BL1.sum(1)
        return (found.logits,)


class _CustomGraph(nn.Module):
    """A custom head on the bare encoder. The head takes packed input, so padding is removed before it."""

    def __init__(self, hf: Any, head: nn.Module, per_token: bool) -> None:
        super().__init__()
        self.hf = hf
        self.head = head
        self.per_token = per_token

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor]:
        hidden_BLH = self.hf(**_inputs(input_ids, attention_mask, token_type_ids)).last_hidden_state
        mask_BL = attention_mask.bool()
        types_BL = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        groups_B = torch.arange(input_ids.shape[0])
        batch = Batch(input_ids[mask_BL], types_BL[mask_BL], attention_mask.sum(1), groups_B, None)
        outputs = self.head(hidden_BLH[mask_BL], batch)
        if not self.per_token:
            return (outputs,)
        padded = outputs.new_zeros((*input_ids.shape, outputs.shape[-1]))
        return (padded.masked_scatter(mask_BL[:, :, None], outputs),)


def _inputs(ids: Tensor, mask: Tensor, types: Tensor | None) -> dict[str, Tensor]:
    inputs = {"input_ids": ids, "attention_mask": mask}
    return inputs if types is None else inputs | {"token_type_ids": types}


def _example(inputs: tuple[str, ...], choices: int | None, vocab_size: int) -> dict[str, Tensor]:
    """Example inputs to trace: no dimension is 0 or 1, which torch would treat as fixed."""
    shape = (2, 7) if choices is None else (2, choices, 7)
    ids = torch.randint(0, vocab_size, shape, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(shape, dtype=torch.int64)
    mask[..., -2:] = 0
    mask[0] = 1
    found = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return {name: found[name] for name in inputs}


def _reason(error: BaseException) -> str:
    """The first line of the error that the exporter wrapped."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the progress and the advice that the exporter prints, which concern its developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
