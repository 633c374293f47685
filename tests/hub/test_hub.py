"""Models from the Hub, with a local server: downloads, errors and offline use."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pretend_hub import PretendHub, running

from tiny import BIN, QUICK, Result, process, reviews, write_csv

# Looks up each name like training, without the libraries that make training slow to start.
LOOK_UP = """
import json, sys
from bertune.errors import ModelError
from bertune.nn.pretrained import find_pretrained
for name in sys.argv[1:]:
    try:
        print(json.dumps([name, True, str(find_pretrained(name).folder)]))
    except ModelError as error:
        print(json.dumps([name, False, str(error)]))
"""


@pytest.fixture(scope="module")
def hub(
    tiny_weights: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PretendHub]:
    """A running hub: tiny/bert is complete, tiny/pickled and tiny/bare have no safetensors, others fail."""
    folder = tmp_path_factory.mktemp("hub")
    shutil.copytree(tiny_weights, folder / "bert")
    (folder / "bert" / "README.md").write_text("not needed")
    (folder / "bert" / "pytorch_model.bin").write_bytes(b"never to be fetched")
    (folder / "bert" / "modeling_own.py").write_text("raise SystemExit('never to be executed')")
    shutil.copytree(tiny_folder, folder / "pickled")
    (folder / "pickled" / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    shutil.copytree(tiny_folder, folder / "bare")
    names = ("bert", "pickled", "bare")
    repositories = {f"tiny/{name}": folder / name for name in names} | {"tiny/half": folder / "bert"}
    with running(PretendHub(repositories)) as hub:
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Hub cache of the processes of this module."""
    return tmp_path_factory.mktemp("home")


def environment(hub: PretendHub, home: Path, **more: str) -> dict[str, str]:
    return {
        "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "*", "no_proxy": "*", **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def trained(
    hub: PretendHub, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result, list[str]]:
    """A training with a Hub model: its folder, its output, and the requests to the hub."""
    folder = tmp_path_factory.mktemp("trained")
    write_csv(folder / "a.csv", reviews(20))
    said = process(
        BIN, "train", "a.csv", "model.name=tiny/bert", *QUICK, "--out", "run", "--json",
        cwd=folder, env=environment(hub, home),
    )  # fmt: skip
    return folder, said.fine(), list(hub.asked)


def look_up(cwd: Path, env: dict[str, str], *names: str) -> dict[str, tuple[bool, str]]:
    """For each name, whether it was found, and the folder or the error message."""
    said = process(sys.executable, "-c", LOOK_UP, *names, cwd=cwd, env=env)
    found = {name: (is_found, text) for name, is_found, text in map(json.loads, said.out.splitlines())}
    missing = [name for name in names if name not in found]
    assert not missing, f"{missing[0]}: {said.err.splitlines()[-1]}"
    return found


def test_a_hub_model_is_downloaded_and_trained(trained: tuple[Path, Result, list[str]]) -> None:
    folder, said, _ = trained
    assert said.json["status"] == "complete"
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    assert manifest["model"]["name"] == "tiny/bert"
    assert manifest["model"]["weights"] == "pretrained"
    assert (folder / "run" / "model" / "model.safetensors").is_file()


def test_only_necessary_files_are_downloaded(trained: tuple[Path, Result, list[str]]) -> None:
    _, _, asked = trained
    fetched = {line.rpartition("/")[2] for line in asked if line.startswith("GET /tiny/bert/resolve/")}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= fetched
    # The card of the encoder names its license and language.
    assert {name for name in fetched if name.endswith((".bin", ".py", ".md"))} <= {"README.md"}


def test_a_downloaded_model_works_offline(
    trained: tuple[Path, Result, list[str]], hub: PretendHub, home: Path, tmp_path: Path
) -> None:
    offline = environment(hub, home, HF_HUB_OFFLINE="1")
    unreachable = environment(hub, home, HF_ENDPOINT="http://127.0.0.1:9")
    for env in (offline, unreachable):
        is_found, _ = look_up(tmp_path, env, "tiny/bert")["tiny/bert"]
        assert is_found


@pytest.mark.parametrize(
    "env", [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}], ids=["down", "offline"]
)
def test_without_the_hub_the_message_names_offline_alternatives(
    hub: PretendHub, tmp_path: Path, env: dict[str, str]
) -> None:
    is_found, message = look_up(tmp_path, environment(hub, tmp_path, **env), "tiny/bert")["tiny/bert"]
    assert not is_found
    for part in ("model.name=tiny/bert", "cannot be reached", "model.name=minilm", "a folder", "cache"):
        assert part in message
    assert "\n" not in message


def test_an_unreachable_hub_leaves_no_run_folder(hub: PretendHub, tmp_path: Path) -> None:
    cwd = tmp_path / "here"
    cwd.mkdir()
    write_csv(cwd / "a.csv", reviews(20))
    env = environment(hub, tmp_path / "home", HF_ENDPOINT="http://127.0.0.1:9")
    said = process(BIN, "train", "a.csv", "model.name=tiny/bert", cwd=cwd, env=env)
    assert said.code == 3 and said.out == ""
    assert said.err.startswith("error: model.name=tiny/bert") and "Traceback" not in said.err
    assert [path.name for path in cwd.iterdir()] == ["a.csv"]


REFUSED = {
    "tiny/absent": ["not a local folder", "not found on the Hub", "spelling"],
    "tiny/private": ["private", "hf auth login"],
    "tiny/gated": ["gated", "Request access", "hf auth login"],
    "tiny/pickled": ["model.safetensors", "only safetensors"],
    "tiny/bare": ["model.safetensors"],
    "tiny/failing": ["cannot be reached"],
    "tiny/silent": ["cannot be reached"],
    "tiny/portal": ["cannot be reached"],
    "tiny/half": ["cannot be reached", "tiny/half"],
}


@pytest.fixture(scope="module")
def refused(hub: PretendHub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bool, str]]:
    """The result of looking up every model that cannot be downloaded, in one process."""
    folder = tmp_path_factory.mktemp("refused")
    return look_up(folder, environment(hub, folder / "home"), *REFUSED)


@pytest.mark.parametrize(("name", "parts"), REFUSED.items())
def test_a_model_that_cannot_be_downloaded_is_an_error_with_the_reason(
    refused: dict[str, tuple[bool, str]], name: str, parts: list[str]
) -> None:
    is_found, message = refused[name]
    assert not is_found
    assert message.startswith(f"model.name={name}: ")
    for part in parts:
        assert part in message


def test_a_pickle_is_never_downloaded(hub: PretendHub, refused: dict[str, tuple[bool, str]]) -> None:
    assert "tiny/pickled" in refused
    assert not [line for line in hub.asked if line.endswith(".bin")]


def test_a_local_folder_takes_precedence_over_the_hub(
    hub: PretendHub, tiny_weights: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_weights, tmp_path / "tiny" / "bert")
    before = len(hub.asked)
    is_found, folder = look_up(tmp_path, environment(hub, tmp_path / "home"), "tiny/bert")["tiny/bert"]
    assert is_found and Path(folder) == Path("tiny/bert")
    assert len(hub.asked) == before


def test_training_a_local_model_makes_no_requests(
    hub: PretendHub, tiny_weights: Path, tmp_path: Path
) -> None:
    write_csv(tmp_path / "a.csv", reviews(20))
    before = len(hub.asked)
    env = environment(hub, tmp_path / "home")
    process(
        BIN, "train", "a.csv", f"model.name={tiny_weights}", *QUICK, "--out", "run", cwd=tmp_path, env=env
    ).fine()
    assert len(hub.asked) == before, hub.asked[before:]
