"""The time of a graph that computes its last layer for all tokens, and for the first token only.

    python benchmarks/first_token.py RUN [onnx|onnx-int8]

RUN is a run of a classifier. Both graphs are exported into a temporary folder and compared on random inputs.
Then, in each round, both are measured in turn, each in a new process with one thread and one sequence per
call. Prints a table: the medians of the rounds, and the lowest and highest ratio of a round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from graph_calls import compare, graph_of, milliseconds, random_inputs

from bertune import api
from bertune.export import graph, writing
from bertune.predict.graphs import GraphMachine, open_session

ALL, FIRST = "all tokens", "first token"
ANY_DIFFERENCE = {"export.max_difference": 1e9, "export.max_flips": 1.0, "export.max_score_loss": 1e9}


def export(run: Path, to: str, variant: str, folder: Path) -> Path:
    """The export of a run whose last layer computes all tokens or the first one."""
    out = folder / variant.replace(" ", "-")
    no_reuse = mock.patch.object(writing, "_earlier_export", lambda folder, sha256: None)
    no_narrowing = mock.patch.object(graph, "narrow_to_first_token", lambda proto: None)
    with no_reuse, no_narrowing if variant == ALL else contextlib.nullcontext():
        api.export(run, to, settings=ANY_DIFFERENCE, out=out)
    return out


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="with --only, an export")
    parser.add_argument("to", nargs="?", default="onnx", choices=("onnx", "onnx-int8"))
    parser.add_argument("--only", action="store_true", help="measure an export once, and print JSON")
    options = parser.parse_args()
    if options.only:
        path, vocab_size = graph_of(options.run)
        print(json.dumps(milliseconds(open_session(path, GraphMachine(threads=1)), vocab_size)))
        return
    with tempfile.TemporaryDirectory() as folder:
        exports = {v: export(options.run, options.to, v, Path(folder)) for v in (ALL, FIRST)}
        outputs = []
        for out in exports.values():
            path, vocab_size = graph_of(out)
            session = open_session(path, GraphMachine())
            outputs.append(session.run(None, random_inputs(session, vocab_size, (8, 40))))
        difference = max(float(np.abs(a - b).max()) for a, b in zip(*outputs, strict=True))
        print(f"largest difference of an output: {difference:.1e}")
        compare((ALL, FIRST), lambda variant: [__file__, str(exports[variant]), "--only"])


if __name__ == "__main__":
    main()
