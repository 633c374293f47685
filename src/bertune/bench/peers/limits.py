"""Measures the peak rates of the machine as a contestant, so that they are measured in every round."""

from dataclasses import asdict
from pathlib import Path

from bertune.bench.floor import shape_of
from bertune.bench.peaks import measure_peaks
from bertune.bench.peers import arguments
from bertune.bench.result import write_result
from bertune.hugging_face import load_config


def main() -> None:
    """Measures and prints the peaks."""
    parser = arguments.parser(__doc__)
    parser.add_argument("--tokens", type=int, required=True, help="tokens of an average step")
    options = parser.parse_args()
    shape = shape_of(load_config(Path(options.job.model)), len(options.job.labels))
    peaks = measure_peaks(shape, options.tokens, options.job.precision, options.job.device)
    write_result(asdict(peaks))


if __name__ == "__main__":
    main()
