"""Outputs of the standard Hugging Face heads for packed hidden states, and their padded counterparts.

Dimensions: S sequences, T tokens of all sequences, L longest sequence, H hidden size, C outputs, M masked
tokens, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bertune.nn.batch import Batch
from bertune.nn.packed import LastLayer, first_token_layer, full_layer


@dataclass(frozen=True)
class PackedHead:
    """The last layer that a head requires, and the function that computes its outputs."""

    last_layer: LastLayer
    outputs: Callable[[Any, Tensor, Batch], Tensor]  # model, output of the last layer, batch


def packed_head(hf: Any) -> PackedHead | None:
    """The packed form of the head of a model, or None if it is not supported."""
    name = type(hf).__name__
    standard = next((head for ending, head in _HEADS.items() if name.endswith(ending)), None)
    return standard or (_POOLED_MEAN if hf.base_model is hf else None)


def padded_outputs(hf: Any, inputs: dict[str, Tensor], batch: Batch) -> Tensor:
    """The same outputs from the forward pass of the Hugging Face model on padded input."""
    mask_SL = inputs["attention_mask"].bool()
    name = type(hf).__name__
    if name.endswith("ForMultipleChoice"):
        choices: Tensor = hf(**{key: value[:, None] for key, value in inputs.items()}).logits
        return choices
    outputs = hf(**inputs)
    if name.endswith("ForQuestionAnswering"):
        return torch.stack([outputs.start_logits, outputs.end_logits], -1)[mask_SL]
    if name.endswith("ForTokenClassification"):
        tokens: Tensor = outputs.logits[mask_SL]
        return tokens
    if name.endswith("ForMaskedLM"):
        words: Tensor = outputs.logits[mask_SL][masked_positions(batch)]
        return words
    if hf.base_model is hf:
        return mean_of_sequences(outputs.last_hidden_state[mask_SL], batch)
    logits: Tensor = outputs.logits
    return logits


def masked_positions(batch: Batch) -> Tensor:
    """Indices [M] of the masked tokens, for which a language model predicts the original token."""
    assert batch.gold is not None, "a language model needs the original tokens at masked positions"
    return torch.nonzero(batch.gold >= 0).flatten()


def mean_of_sequences(hidden_TH: Tensor, batch: Batch) -> Tensor:
    """Mean pooling over all tokens of each sequence, including special tokens: [S, H], in fp32."""
    lengths_S = batch.lengths_S.to(hidden_TH.device)
    owner_T = torch.repeat_interleave(torch.arange(len(lengths_S), device=hidden_TH.device), lengths_S)
    if hidden_TH.device.type == "cpu":
        sums_SH = hidden_TH.new_zeros((len(lengths_S), hidden_TH.shape[1]), dtype=torch.float32)
        return sums_SH.index_add(0, owner_T, hidden_TH.float()) / lengths_S[:, None]
    # index_add on CUDA adds in arbitrary order, so the same text would get a different embedding each time.
    return padded_sums(hidden_TH.float(), owner_T, lengths_S) / lengths_S[:, None]


def padded_sums(rows_TH: Tensor, owner_T: Tensor, lengths_S: Tensor) -> Tensor:
    """The sum of each sequence's rows, [S, H], over a padded copy; `owner_T` is the sequence of each row."""
    longest = int(lengths_S.max())
    starts_S = torch.cumsum(lengths_S, 0) - lengths_S
    places_T = torch.arange(len(rows_TH), device=rows_TH.device) - starts_S[owner_T] + owner_T * longest
    padded = rows_TH.new_zeros(len(lengths_S) * longest, rows_TH.shape[1]).index_copy(0, places_T, rows_TH)
    return padded.view(len(lengths_S), longest, -1).sum(1)


def _sequence_logits(hf: Any, first_SH: Tensor, _: Batch) -> Tensor:
    """Logits [S, C] from the first token of each sequence."""
    logits: Tensor
    if hasattr(hf, "pre_classifier"):  # DistilBERT
        logits = hf.classifier(hf.dropout(torch.relu(hf.pre_classifier(first_SH))))
        return logits
    pooler = getattr(hf.base_model, "pooler", None)
    # RoBERTa and ELECTRA have no pooler: their classifier selects the first token itself.
    features = first_SH[:, None] if pooler is None else hf.dropout(pooler(first_SH[:, None]))
    logits = hf.classifier(features)
    return logits


def _choice_logits(hf: Any, first_SH: Tensor, batch: Batch) -> Tensor:
    """Logits [S, 1] from the first token of each sequence."""
    if hasattr(hf, "sequence_summary"):  # ELECTRA
        summary: Tensor = hf.classifier(hf.sequence_summary(first_SH[:, None]))
        return summary
    return _sequence_logits(hf, first_SH, batch)


def _token_logits(hf: Any, hidden_TH: Tensor, _: Batch) -> Tensor:
    """Logits [T, C] of all tokens."""
    logits: Tensor = hf.classifier(hf.dropout(hidden_TH))
    return logits


def _span_logits(hf: Any, hidden_TH: Tensor, _: Batch) -> Tensor:
    """Start and end logits [T, 2] of all tokens."""
    dropout = getattr(hf, "dropout", None)  # only DistilBERT has dropout here
    logits: Tensor = hf.qa_outputs(hidden_TH if dropout is None else dropout(hidden_TH))
    return logits


def _word_logits(hf: Any, hidden_TH: Tensor, batch: Batch) -> Tensor:
    """Logits [M, V] of the masked tokens only, because the vocabulary is large."""
    hidden_MH = hidden_TH[masked_positions(batch)]
    logits: Tensor
    if hasattr(hf, "cls"):  # BERT
        logits = hf.cls(hidden_MH)
    elif hasattr(hf, "lm_head"):  # RoBERTa, XLM-RoBERTa, CamemBERT
        logits = hf.lm_head(hidden_MH)
    elif hasattr(hf, "generator_predictions"):  # ELECTRA
        logits = hf.generator_lm_head(hf.generator_predictions(hidden_MH))
    else:  # DistilBERT
        transformed = hf.vocab_layer_norm(hf.activation(hf.vocab_transform(hidden_MH)))
        logits = hf.vocab_projector(transformed)
    return logits


def _mean(_: Any, hidden_TH: Tensor, batch: Batch) -> Tensor:
    return mean_of_sequences(hidden_TH, batch)


_HEADS = {
    "ForSequenceClassification": PackedHead(first_token_layer, _sequence_logits),
    "ForMultipleChoice": PackedHead(first_token_layer, _choice_logits),
    "ForTokenClassification": PackedHead(full_layer, _token_logits),
    "ForQuestionAnswering": PackedHead(full_layer, _span_logits),
    "ForMaskedLM": PackedHead(full_layer, _word_logits),
}
_POOLED_MEAN = PackedHead(full_layer, _mean)
