"""The rate of `Model.predict` on some texts, and its answers, with which those of a service are compared.

    python benchmarks/serving_offline.py FOLDER TEXTS.json SECONDS [--answers FILE]

TEXTS.json contains a list of texts. Prints the rate in texts per second as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from bertune.allocator import tune_allocator
from bertune.predict.loading import load_model


def rate(model: Any, texts: list[str], seconds: float) -> float:
    """Texts per second in whole passes over the texts that take at least `seconds`, after one to warm up."""
    model.predict(texts)
    passes, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        model.predict(texts)
        passes += 1
    return passes * len(texts) / (time.perf_counter() - start)


def main() -> None:
    """Measure, and write the answers if a file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("texts", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--answers", type=Path)
    options = parser.parse_args()
    tune_allocator()  # as `bertune predict` does
    model = load_model(options.folder)
    texts = json.loads(options.texts.read_bytes())
    if options.answers:
        found = [dict(prediction.probabilities) for prediction in model.predict(texts)]
        options.answers.write_text(json.dumps(found), encoding="utf-8")
    print(json.dumps({"texts_per_second": round(rate(model, texts, options.seconds), 2)}))


if __name__ == "__main__":
    main()
