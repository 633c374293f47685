"""Two ways to quantize activations: one range for a batch, as ONNX Runtime does, and one scale per token.

    python benchmarks/int8_scales.py EXPORT --texts FILE

EXPORT is an export of a classifier to onnx, and FILE has a text per line. Prints a table: the CPU time of one
thread, the largest difference of a probability from the fp32 graph and the number of other labels (one text
per call), and the largest difference between a text alone and in a batch of texts in the order of the file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bertune.export import quantization

BATCH = 16
ROUNDS = 5
MOST_TOKENS = 512  # of BERT
NAMES = ("fp32", "int8, a range per batch", "int8, a scale per token")


class Graph:
    """A graph that runs on one thread."""

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options)
        self._tokenizer = tokenizer
        self._names = [given.name for given in self._session.get_inputs()]

    def inputs(self, texts: Sequence[str]) -> dict[str, NDArray[np.int64]]:
        """The inputs for a batch."""
        encodings = self._tokenizer.encode_batch(list(texts))
        parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        return {n: np.array([getattr(e, parts[n]) for e in encodings], np.int64) for n in self._names}

    def probabilities(self, batches: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
        """The probabilities of all texts: [texts, labels]."""
        logits = np.concatenate([self._session.run(["logits"], batch)[0] for batch in batches])
        found = np.exp(logits - logits.max(-1, keepdims=True), dtype=np.float64)
        return np.asarray(found / found.sum(-1, keepdims=True))


def batched(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    """The texts in batches, in this order."""
    return [texts[i : i + size] for i in range(0, len(texts), size)]


def milliseconds(graph: Graph, batches: Sequence[dict[str, Any]], texts: int) -> float:
    """CPU time per text: the least of several rounds."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        graph.probabilities(batches)
        found.append(time.process_time() - started)
    return 1000 * min(found) / texts


def main() -> None:
    """Quantizes in both ways, measures, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--texts", type=Path, required=True)
    options = parser.parse_args()
    texts = [line for line in options.texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    tokenizer = Tokenizer.from_file(str(options.export / "tokenizer.json"))
    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.enable_padding()
    source = options.export / "onnx" / "model.onnx"
    with tempfile.TemporaryDirectory() as folder:
        paths = [source, Path(folder) / "batch.onnx", Path(folder) / "token.onnx"]
        quantizer = quantization.Quantizer(source, Path(folder))
        with mock.patch.object(quantization, "scale_each_token"):
            quantizer(paths[1])
        quantizer(paths[2])
        graphs = [Graph(path, tokenizer) for path in paths]
    print(
        f"| graph ({len(texts):,} texts) | ms, one by one | ms per text, {BATCH} of similar length | ", end=""
    )
    print("largest difference from fp32 | other labels | largest difference in another batch |")
    print("|---|---|---|---|---|---|")
    expected: NDArray[np.float64] | None = None
    for name, graph in zip(NAMES, graphs, strict=True):
        single = [graph.inputs([text]) for text in texts]
        alike = [graph.inputs(batch) for batch in batched(sorted(texts, key=len), BATCH)]
        found = graph.probabilities(single)
        mixed = graph.probabilities([graph.inputs(batch) for batch in batched(texts, BATCH)])
        expected = found if expected is None else expected
        cells = (
            name,
            f"{milliseconds(graph, single, len(texts)):.2f}",
            f"{milliseconds(graph, alike, len(texts)):.2f}",
            f"{np.abs(found - expected).max():.2g}",
            str((found.argmax(-1) != expected.argmax(-1)).sum()),
            f"{np.abs(found - mixed).max():.2g}",
        )
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
