"""`bertune tasks`: what can be learned, said in a table and as JSON; a wrong number of columns is refused."""

import json
from pathlib import Path

import pytest

from bertune import registry
from tiny import bertune


def test_every_task_is_listed_with_its_score() -> None:
    shown = bertune("tasks").fine()
    for entry in bertune("tasks", "--json").fine().json:
        assert f"\n{entry['name']}" in shown.out
        assert entry["primary"] in shown.out


@pytest.mark.parametrize("name", registry.names("task"))
def test_a_task_says_what_it_reads_and_its_example_is_a_file_it_takes(
    name: str, here: Path, tiny_weights: Path
) -> None:
    found = bertune("tasks", name, "--json").fine().json
    shown = bertune("tasks", name).fine().out
    assert all(option["key"] in shown and option["meaning"] for option in found["options"])
    assert all(score in shown for score in found["scores"])
    (here / "example.jsonl").write_text("\n".join(found["example"]) + "\n", encoding="utf-8")
    (here / "more.jsonl").write_text("\n".join(found["example"]) + "\n", encoding="utf-8")
    own = (f"task.name={name}", f"model.name={tiny_weights}", "data.validation=more.jsonl", "--json")
    checked = bertune("check", "example.jsonl", *own).fine().json
    assert checked["data"]["splits"]["train"]["rows"] == len([json.loads(x) for x in found["example"]])


def test_an_unknown_task_is_answered_with_those_there_are() -> None:
    refused = bertune("tasks", "rankin")
    assert refused.code == 3
    assert 'Did you mean "ranking"?' in refused.err


def test_more_text_columns_than_a_task_takes_are_refused(here: Path, tiny_weights: Path) -> None:
    (here / "a.csv").write_text("a,b,c,label\none,two,three,x\nfour,five,six,y\n", encoding="utf-8")
    refused = bertune("check", "a.csv", "data.text=a,b,c", f"model.name={tiny_weights}")
    assert refused.code == 3
    assert "takes 1 or 2 text columns, and there are 3: a, b, c" in refused.err
