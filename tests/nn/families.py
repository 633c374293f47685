"""Tiny random encoders of every tested family, and batches for them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.nn.batch import Batch, collate
from bertune.nn.heads.first_token import HEAD
from bertune.nn.model import CustomHeadModel, StandardModel
from bertune.text.sequences import Sequence as TokenSequence

# Wide enough that attention, positions and biases move the outputs by far more than rounding does.
_COMMON: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 50,
    "initializer_range": 0.3,
}
_NO_PADDING_FIRST: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}

PACKED: dict[str, Callable[..., Any]] = {
    "bert": lambda **more: transformers.BertConfig(**{**_COMMON, **more}),
    "roberta": lambda **more: transformers.RobertaConfig(
        **{**_COMMON, **_NO_PADDING_FIRST, "type_vocab_size": 1, **more}
    ),
    "xlm-roberta": lambda **more: transformers.XLMRobertaConfig(
        **{**_COMMON, **_NO_PADDING_FIRST, "type_vocab_size": 1, **more}
    ),
    "camembert": lambda **more: transformers.CamembertConfig(
        **{**_COMMON, **_NO_PADDING_FIRST, "type_vocab_size": 1, **more}
    ),
    "electra": lambda **more: transformers.ElectraConfig(**{**_COMMON, "embedding_size": 20, **more}),
    "distilbert": lambda **more: transformers.DistilBertConfig(
        **{"vocab_size": 99, "dim": 36, "n_layers": 2, "n_heads": 4, "hidden_dim": 37,
           "max_position_embeddings": 50, "initializer_range": 0.3, **more}
    ),
}  # fmt: skip
PADDED: dict[str, Callable[..., Any]] = {
    "mpnet": lambda **more: transformers.MPNetConfig(**{**_COMMON, **_NO_PADDING_FIRST, **more}),
    "deberta-v2": lambda **more: transformers.DebertaV2Config(
        **{**_COMMON, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], **more}
    ),
    "albert": lambda **more: transformers.AlbertConfig(**{**_COMMON, "embedding_size": 20, **more}),
    "modernbert": lambda **more: transformers.ModernBertConfig(
        **{"vocab_size": 99, "hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 2,
           "intermediate_size": 37, "max_position_embeddings": 50, "pad_token_id": 0, "bos_token_id": 2,
           "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3, **more}
    ),
}  # fmt: skip
NO_DROPOUT: dict[str, dict[str, Any]] = {
    family: {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    if family == "distilbert"
    else {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    for family in PACKED
}
EQUAL_LENGTHS = (9, 9, 9, 9)
UNEQUAL_LENGTHS = (9, 3, 13, 1, 7, 13)
# Longest first, as in training: three attention groups, the last one with empty rows.
SEVERAL_GROUPS = (50, 50, 48, 47, 41, 40, 33, 33, 31, 30, 24, 9, 7, 3, 3, 2, 1)
NO_INFLUENCE = ("key.bias", "k_lin.bias")


def batch_of(lengths: Sequence[int], has_pairs: bool = True, seed: int = 3) -> Batch:
    """Random sequences with labels 0, 1, 2 …; the second half of each has token type 1."""
    draw = np.random.default_rng(seed)
    sequences = []
    for number, length in enumerate(lengths):
        ids = draw.integers(5, 99, size=length).astype(np.int32)  # excludes the special tokens
        types = (np.arange(length) > length // 2) & has_pairs
        sequences.append(TokenSequence(ids, types.astype(np.uint8), number, number % 3))
    return collate(sequences)


def batch_for(family: str, lengths: Sequence[int], seed: int = 3) -> Batch:
    """`random_batch`, with lengths reduced to what the family's encoder above accepts."""
    longest = 50 if family in {"bert", "electra", "distilbert"} else 48  # RoBERTa leaves two positions unused
    return batch_of([min(n, longest) for n in lengths], seed=seed)


def standard(family: str, **more: object) -> StandardModel:
    """A classifier with three labels, in evaluation mode; every call returns the same weights."""
    torch.manual_seed(1)
    config = (PACKED | PADDED)[family](num_labels=3, **more)
    return StandardModel(transformers.AutoModelForSequenceClassification.from_config(config).eval())


def with_own_head(family: str, **more: object) -> CustomHeadModel:
    """An encoder without dropout and a linear layer on the first token; always the same weights."""
    torch.manual_seed(1)
    encoder = transformers.AutoModel.from_config(PACKED[family](**{**NO_DROPOUT[family], **more}))
    return CustomHeadModel(encoder, HEAD(36, 3, 0.0)).eval()


def gradients(model: torch.nn.Module, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
    """The gradient of the summed cross-entropy by parameter name, without parameters that have none."""
    assert batch.gold is not None
    model.zero_grad()
    cross_entropy(outputs, batch.gold, reduction="sum").backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_gradients_agree(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Assert that gradients agree to 1e-4 of the largest element."""
    assert found.keys() == expected.keys()
    largest = max(float(g.abs().max()) for g in expected.values())
    for name, gradient in expected.items():
        # The bias of the keys has no effect, so its gradient is only rounding error.
        scale = largest if name.endswith(NO_INFLUENCE) else float(gradient.abs().max())
        assert scale > 0, name
        difference = float((found[name] - gradient).abs().max())
        assert difference <= 1e-4 * scale, f"{name}: {difference} of {scale}"


def one_by_one(hf: Any, batch: Batch) -> torch.Tensor:
    """The logits of each sequence by itself, without a batch and so without padding or packing."""
    logits = []
    lengths = batch.lengths_S.tolist()
    for ids_L, types_L in zip(batch.ids_T.split(lengths), batch.types_T.split(lengths), strict=True):
        more = {"token_type_ids": types_L[None]} if getattr(hf.config, "type_vocab_size", 0) > 1 else {}
        logits.append(hf(input_ids=ids_L[None], **more).logits)
    return torch.cat(logits)
