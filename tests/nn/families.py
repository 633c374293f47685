"""Tiny random encoders of every family the tests speak of, and batches for them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import transformers

from bertune.text.sequences import Batch, collate
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
}
PADDED: dict[str, Callable[..., Any]] = {
    "distilbert": lambda **more: transformers.DistilBertConfig(
        **{"vocab_size": 99, "dim": 36, "n_layers": 2, "n_heads": 4, "hidden_dim": 37,
           "max_position_embeddings": 50, **more}
    ),
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
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
EQUAL_LENGTHS = (9, 9, 9, 9)
UNEQUAL_LENGTHS = (9, 3, 13, 1, 7, 13)


def batch_of(lengths: Sequence[int], has_pairs: bool = True, seed: int = 3) -> Batch:
    """Random sequences of these lengths, the second half of each of token type 1, with labels 0, 1, 2 …"""
    draw = np.random.default_rng(seed)
    sequences = []
    for number, length in enumerate(lengths):
        ids = draw.integers(5, 99, size=length).astype(np.int32)  # no special token among them
        types = (np.arange(length) > length // 2) & has_pairs
        sequences.append(TokenSequence(ids, types.astype(np.uint8), number, number % 3))
    return collate(sequences)


def one_by_one(hf: Any, batch: Batch) -> torch.Tensor:
    """The logits of each sequence alone: no batch, hence neither padding nor packing."""
    logits = []
    lengths = batch.lengths_S.tolist()
    for ids_L, types_L in zip(batch.ids_T.split(lengths), batch.types_T.split(lengths), strict=True):
        more = {"token_type_ids": types_L[None]} if getattr(hf.config, "type_vocab_size", 0) > 1 else {}
        logits.append(hf(input_ids=ids_L[None], **more).logits)
    return torch.cat(logits)
