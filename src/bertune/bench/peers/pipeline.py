"""Benchmarks transformers.pipeline: one text at a time or in batches, in input order."""

import os
from typing import Any

from bertune.bench.job import Job
from bertune.bench.passes import Texts, timed_passes
from bertune.bench.peers import arguments
from bertune.bench.result import write_result

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def predict(job: Job, batch_size: int) -> dict[str, Any]:
    """Predicts the texts of a job with its trained model; returns the measurements."""
    from transformers import pipeline

    classify: Any = pipeline(
        "text-classification", model=job.model, device=job.device, trust_remote_code=False
    )

    def probabilities(texts: Texts) -> list[float]:
        inputs: list[Any] = [
            {"text": item[0], "text_pair": item[1]} if len(item) == 2 else item[0] for item in texts
        ]
        options = {"top_k": None, "truncation": True, "max_length": job.max_length}
        if batch_size == 1:
            results = [classify(text, **options) for text in inputs]
        else:
            results = classify(inputs, batch_size=batch_size, **options)
        return [_last(result, job.labels) for result in results]

    return timed_passes(job, probabilities)


def _last(result: Any, labels: tuple[str, ...]) -> float:
    scores = result[0] if isinstance(result[0], list) else result  # a pair comes back one level deeper
    return next(float(score["score"]) for score in scores if score["label"] == labels[-1])


def main() -> None:
    """Predicts and prints the measurements."""
    parser = arguments.parser(__doc__)
    parser.add_argument("--batch", type=int, required=True)
    options = parser.parse_args()
    write_result(predict(options.job, options.batch))


if __name__ == "__main__":
    main()
