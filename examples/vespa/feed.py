"""Print the titles that a run was trained on as documents for Vespa, one JSON object per line.

python feed.py RUN > titles.jsonl
vespa feed titles.jsonl
"""

import csv
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path


def documents(run: Path) -> Iterator[dict[str, object]]:
    """A put operation for each title in the training file of a run, without duplicates."""
    data = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))["data"]
    column = data["text"][1]  # the second text of a pair; the first is the query
    with open(data["train"], encoding="utf-8", newline="") as file:
        titles = dict.fromkeys(row[column] for row in csv.DictReader(file))
    for number, title in enumerate(titles):
        yield {"put": f"id:cord19:doc::{number}", "fields": {"title": title}}


if __name__ == "__main__":
    sys.stdout.writelines(json.dumps(document) + "\n" for document in documents(Path(sys.argv[1])))
