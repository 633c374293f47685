"""Integrated gradients: the contribution of every token of a sequence to a number computed from its outputs.

The contributions add up to the difference between the number for the sequence and for a baseline, where the
tokens are replaced by an uninformative vector (Sundararajan et al. 2017, "Axiomatic attribution for deep
networks").

Dimensions: L tokens of a sequence, H hidden size, S segments of the path, Q places in a segment, P places in
a micro-batch, R rows of outputs, C outputs, K outputs that the number depends on.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertune.nn.batch import collate
from bertune.nn.model import CustomHeadModel, StandardModel, TextModel
from bertune.tasks.explained import Attributions, OutputWeights
from bertune.text.sequences import Sequence

# The path is divided into segments, each integrated by Gauss's quadrature. Segments whose contributions do
# not add up are divided again: the outputs of a confident model may change in a small part of the path only.
_PARTS = 4  # segments of the path, and of a segment that is divided
_POINTS = 4  # per segment
_MOST_POINTS = 192  # after which the remaining error is accepted
_TOLERANCE = 0.02  # largest error of the sum, relative to the difference
_LEAST_DIFFERENCE = 0.1  # in logits; smaller differences do not tighten the tolerance


class IntegratedGradients:
    """Computes attributions with a copy of a model that shares its weights, in fp32.

    The weights of the copy do not require gradients, so neither the model nor its gradients are modified, and
    other threads can use the model at the same time.
    """

    def __init__(self, model: TextModel, max_tokens: int) -> None:
        """`max_tokens` limits a micro-batch."""
        self._model = _without_gradients(model)
        self._table = self._model.encoder.get_input_embeddings()
        self._max_tokens = max_tokens

    def __call__(
        self,
        sequence: Sequence,
        number: OutputWeights,
        replaced_L: NDArray[np.bool_],
        neutral_id: int | None,
        poll: Callable[[], None],
    ) -> Attributions:
        """The contribution of each token of a sequence to `number`.

        In the baseline, the tokens `replaced_L` have the vector of the token `neutral_id`, or zeros if it is
        None. The other tokens contribute nothing. `poll` is called before each micro-batch; it may raise to
        stop.
        """
        words_LH = self._vectors(sequence.ids)
        neutral_H = torch.zeros_like(words_LH[0])
        if neutral_id is not None:
            neutral_H = self._vectors(np.array([neutral_id]))[0]
        replaced_L1 = torch.from_numpy(replaced_L).to(self._device)[:, None]
        baseline_LH = torch.where(replaced_L1, neutral_H, words_LH)
        path = _Path(sequence, number, baseline_LH, words_LH - baseline_LH, poll)
        return self._integrated(path)

    @property
    def _device(self) -> torch.device:
        return self._table.weight.device  # type: ignore[no-any-return]

    def _vectors(self, ids: NDArray[np.integer[Any]]) -> Tensor:
        """The word embeddings of tokens, without a graph."""
        with torch.no_grad():
            vectors: Tensor = self._table(torch.from_numpy(ids.astype(np.int64)).to(self._device))
        return vectors

    def _integrated(self, path: "_Path") -> Attributions:
        """The integral of the gradient along a path, times the path."""
        places = np.linspace(0, 1, _PARTS + 1)
        new = list(pairwise(places.tolist()))
        numbers = self._at(path, places)
        allowed = _TOLERANCE * max(abs(numbers[1.0] - numbers[0.0]), _LEAST_DIFFERENCE)
        segments: dict[tuple[float, float], tuple[NDArray[np.float64], float]] = {}
        num_points = 0
        while new:
            num_points += _POINTS * len(new)
            for (start, end), tokens_L in zip(new, self._over(path, new), strict=True):
                segments[start, end] = tokens_L, abs(tokens_L.sum() - (numbers[end] - numbers[start]))
            if sum(error for _, error in segments.values()) <= allowed or num_points >= _MOST_POINTS:
                break
            inexact = [pair for pair, (_, error) in segments.items() if error > allowed / len(segments)]
            new = []
            for start, end in inexact:
                del segments[start, end]
                inside = np.linspace(start, end, _PARTS + 1)
                numbers |= self._at(path, inside[1:-1])
                new += pairwise([start, *inside[1:-1].tolist(), end])
        total_L = np.sum([tokens_L for tokens_L, _ in segments.values()], axis=0)
        return Attributions(total_L, numbers[1.0], numbers[0.0])

    def _at(self, path: "_Path", places: NDArray[np.float64]) -> dict[float, float]:
        """The number at places of a path, from 0 to 1."""
        with torch.no_grad():
            found = [self._numbers(path, words) for words in self._words(path, places)]
        return dict(zip(places.tolist(), torch.cat(found).tolist(), strict=True))

    def _over(self, path: "_Path", segments: list[tuple[float, float]]) -> list[NDArray[np.float64]]:
        """The contribution [L] of every token in each segment of a path."""
        nodes_Q, weights_Q = np.polynomial.legendre.leggauss(_POINTS)  # on the interval from -1 to 1
        places = [start + (end - start) * (nodes_Q + 1) / 2 for start, end in segments]
        products = []
        for words in self._words(path, np.concatenate(places)):
            with torch.enable_grad():
                words.requires_grad_()
                (gradient_PLH,) = torch.autograd.grad(self._numbers(path, words).sum(), words)
            products.append((gradient_PLH * path.step_LH).sum(-1).double().cpu().numpy())
        products_SQL = np.concatenate(products).reshape(len(segments), _POINTS, -1)
        return [
            (end - start) / 2 * (weights_Q[:, None] * products_QL).sum(0)
            for (start, end), products_QL in zip(segments, products_SQL, strict=True)
        ]

    def _words(self, path: "_Path", places: NDArray[np.float64]) -> Iterator[Tensor]:
        """The word vectors [P, L, H] at places of a path, in micro-batches."""
        size = max(1, self._max_tokens // len(path.sequence))
        for first in range(0, len(places), size):
            path.poll()
            places_P = torch.from_numpy(places[first : first + size]).to(path.step_LH)
            yield path.baseline_LH + places_P[:, None, None] * path.step_LH

    def _numbers(self, path: "_Path", words_PLH: Tensor) -> Tensor:
        """The number [P] for each of several word vectors of the sequence."""
        num = len(words_PLH)
        copies = [replace(path.sequence, group=group) for group in range(num)]
        outputs = self._model(replace(collate(copies).to(self._device), words=words_PLH.flatten(0, 1)))
        outputs_PRC = outputs.float().view(num, -1, outputs.shape[-1])
        rows_K, columns_K = torch.from_numpy(path.number.rows), torch.from_numpy(path.number.columns)
        values_K = torch.from_numpy(path.number.values).to(outputs_PRC)
        found: Tensor = outputs_PRC[:, rows_K, columns_K] @ values_K
        return found


@dataclass(frozen=True)
class _Path:
    """The straight path from the word vectors of the baseline to those of a sequence."""

    sequence: Sequence
    number: OutputWeights
    baseline_LH: Tensor
    step_LH: Tensor
    poll: Callable[[], None]


def _without_gradients(model: TextModel) -> TextModel:
    """A copy of a model in evaluation mode that shares its weights, but does not require their gradients."""
    shared: dict[int, Any] = {id(buffer): buffer for buffer in model.buffers()}
    shared |= {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in model.parameters()}
    hf = copy.deepcopy(model.hf, shared)
    if isinstance(model, CustomHeadModel):
        return CustomHeadModel(hf, copy.deepcopy(model.head, shared)).eval()
    return StandardModel(hf).eval()
