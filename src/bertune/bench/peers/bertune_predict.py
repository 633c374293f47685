"""Benchmarks prediction with bertune, in a process set up like that of `bertune predict`."""

from typing import Any

from bertune.allocator import tune_allocator
from bertune.bench.job import Job
from bertune.bench.passes import Texts, timed_passes
from bertune.bench.peers import arguments
from bertune.bench.result import write_result
from bertune.predict.loading import load_model


def predict(job: Job, precision: str) -> dict[str, Any]:
    """Predicts the texts of a job with a model trained by bertune; returns the measurements."""
    tune_allocator()
    machine = {**job.settings.get("machine", {}), "precision": precision}
    model = load_model(job.model, {"machine": machine})
    last = job.labels[-1]

    def probabilities(texts: Texts) -> list[float]:
        items: Any = texts if job.num_columns == 2 else [item[0] for item in texts]
        return [prediction.probabilities[last] for prediction in model.predict(items)]

    return timed_passes(job, probabilities)


def main() -> None:
    """Predicts and prints the measurements."""
    parser = arguments.parser(__doc__)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    options = parser.parse_args()
    write_result(predict(options.job, options.precision))


if __name__ == "__main__":
    main()
