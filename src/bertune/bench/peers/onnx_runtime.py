"""Benchmarks ONNX Runtime: texts sorted by length, batches of 64, as many threads as bertune."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from bertune.bench.extra import need
from bertune.bench.job import Job
from bertune.bench.passes import Texts, timed_passes
from bertune.bench.peers import arguments
from bertune.bench.result import write_result

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

_BATCH = 64


def predict(job: Job, graph: Path) -> dict[str, Any]:
    """Predicts the texts of a job with the exported graph of its model; returns the measurements."""
    import onnxruntime
    from transformers import AutoTokenizer

    options = onnxruntime.SessionOptions()
    threads = os.environ.get("OMP_NUM_THREADS")
    options.intra_op_num_threads = int(threads) if threads else len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    tokenizer = AutoTokenizer.from_pretrained(job.model, trust_remote_code=False)

    def probabilities(texts: Texts) -> list[float]:
        columns = [list(column) for column in zip(*texts, strict=True)]
        encoded = tokenizer(*columns, truncation=True, max_length=job.max_length, return_attention_mask=True)
        order = np.argsort([-len(ids) for ids in encoded["input_ids"]], kind="stable")
        found = np.empty(len(texts))
        for start in range(0, len(order), _BATCH):
            positions = order[start : start + _BATCH]
            inputs = {name: _padded([encoded[name][i] for i in positions]) for name in names}
            logits = session.run(None, inputs)[0].astype(np.float64)
            shares = np.exp(logits - logits.max(1, keepdims=True))
            found[positions] = (shares / shares.sum(1, keepdims=True))[:, -1]
        return [float(value) for value in found]

    return timed_passes(job, probabilities)


def _padded(rows: list[list[int]]) -> Any:
    """[B, L], padded with zeros: the padding ID of BERT, and masked in any case."""
    padded_BL = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for position, row in enumerate(rows):
        padded_BL[position, : len(row)] = row
    return padded_BL


def main() -> None:
    """Predicts and prints the measurements."""
    need("onnxruntime")
    parser = arguments.parser(__doc__)
    parser.add_argument("--graph", type=Path, required=True)
    options = parser.parse_args()
    write_result(predict(options.job, options.graph))


if __name__ == "__main__":
    main()
