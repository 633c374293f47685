"""The time of a graph for short texts, with its weights in pages of 4 KB and in huge pages.

    python benchmarks/huge_pages.py EXPORT

EXPORT is an export with a graph. In each round, both are measured in turn, each in a new process with one
thread and one sequence per call. Prints a table: the medians of the rounds, and the lowest and highest ratio
of a round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from unittest import mock

from graph_calls import compare, graph_of, milliseconds

from bertune.predict import graphs
from bertune.predict.graphs import GraphMachine, open_session

SMALL, HUGE = "4 KB", "huge pages"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--only", choices=(SMALL, HUGE), help="measure one kind once, and print JSON")
    options = parser.parse_args()
    if not options.only:
        compare((SMALL, HUGE), lambda kind: [__file__, str(options.export), "--only", kind])
        return
    graph, vocab_size = graph_of(options.export)
    without = mock.patch.object(graphs, "huge_pages", contextlib.nullcontext)
    with contextlib.nullcontext() if options.only == HUGE else without:
        session = open_session(graph, GraphMachine(threads=1))
    print(json.dumps(milliseconds(session, vocab_size)))


if __name__ == "__main__":
    main()
