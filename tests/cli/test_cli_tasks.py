"""`bertune tasks`: the list of tasks as a table and as JSON; a wrong number of columns is refused."""

import json
from pathlib import Path

import pytest

from bertune import registry
from bertune.data import named
from tiny import bertune


def test_every_task_is_listed_with_its_score() -> None:
    shown = bertune("tasks").fine()
    for entry in bertune("tasks", "--json").fine().json:
        assert f"\n{entry['name']}" in shown.out
        assert entry["primary"] in shown.out


@pytest.mark.parametrize("name", registry.names("task"))
def test_a_task_describes_its_input_with_an_example_that_trains(
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


def test_a_task_lists_its_data_sets_and_recipes() -> None:
    found = bertune("tasks", "qa", "--json").fine().json
    data_sets = {entry["name"]: entry["about"] for entry in found["data_sets"]}
    assert data_sets.keys() >= {"squad", "squad_v2", "cmrc2018", "tydiqa_en", "xquad_zh"}
    assert not data_sets.keys() & {"cola", "dream"}
    assert [entry["name"] for entry in found["recipes"]] == ["cmrc2018-clue", "squad-bert", "squad_v2-bert"]
    shown = bertune("tasks", "qa").fine().out
    for name, about in data_sets.items():
        assert f"\n{name}" in shown and about[:20] in shown
    assert all(f"\n{entry['name']}" in shown for entry in found["recipes"])


def test_the_list_counts_data_sets_and_recipes_of_each_task() -> None:
    entries = bertune("tasks", "--json").fine().json
    by_name = {entry["name"]: entry for entry in entries}
    assert "imdb-mlm" in by_name["language_modelling"]["recipes"]
    assert "goemotions" in by_name["multilabel"]["data_sets"]
    everything = [name for entry in entries for name in (*entry["data_sets"], *entry["recipes"])]
    assert sorted(everything) == sorted(named.names()), "each belongs to one task"
    (line,) = [x for x in bertune("tasks").fine().out.splitlines() if x.startswith("question_answering ")]
    numbers = [str(len(by_name["question_answering"][kind])) for kind in ("data_sets", "recipes")]
    assert line.split()[-2:] == numbers


def test_an_unknown_task_is_an_error_that_lists_all_tasks() -> None:
    refused = bertune("tasks", "rankin")
    assert refused.code == 3
    assert 'Did you mean "ranking"?' in refused.err


def test_more_text_columns_than_a_task_takes_are_refused(here: Path, tiny_weights: Path) -> None:
    (here / "a.csv").write_text("a,b,c,label\none,two,three,x\nfour,five,six,y\n", encoding="utf-8")
    refused = bertune("check", "a.csv", "data.text=a,b,c", f"model.name={tiny_weights}")
    assert refused.code == 3
    assert "takes 1 or 2 text columns, got 3: a, b, c" in refused.err
