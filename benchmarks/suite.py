"""The benchmarks: data, contestants and targets of each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bertune.bench import sides
from bertune.bench.compare import train_briefly
from bertune.bench.job import Item, Job, plan_epochs, spread, write_items
from bertune.bench.peers.onnx_graph import FP32, INT8
from bertune.bench.runner import Contestant, run_one
from bertune.data.columns import choose_columns
from bertune.data.tables import open_table
from bertune.errors import BertuneError
from bertune.nn.pretrained import PACKAGED, find_pretrained
from bertune.source import resolve_source
from bertune.tasks import make_task
from bertune.tasks.encoder import known_column_names, read_examples

HERE = Path(__file__).parent
RATE, WALL, MEMORY = "examples_per_second", "wall_seconds", "peak_rss_mb"
Sides = Callable[[Job, Path, dict[str, str]], list[Contestant]]


@dataclass(frozen=True)
class Benchmark:
    """One table of the page. `targets` are ratios of bertune to a contestant, by the contestant's key."""

    name: str
    title: str
    about: str
    data: str  # a named data set
    sides: Sides
    targets: dict[str, float]
    metric: str = RATE
    most_texts: int | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    rounds: int | None = None  # maximum for slow benchmarks
    floor_target: float | None = None  # fraction of the physical floor


def items_of(data: str, split: str = "train") -> list[Item]:
    """Texts and labels of a split of a named data set, or of train if the split does not exist.

    Raises BertuneError if the data set is missing.
    """
    config = resolve_source(data, {}).config
    split = split if getattr(config.data, split) else "train"
    task = make_task(config.task)
    table = open_table(getattr(config.data, split), config.data, known_column_names(task))
    columns, _ = choose_columns(table, config.data, task.columns, need_label=True)
    return [(e.texts, str(e.gold)) for e in read_examples(table, task, columns)]


def make_job(benchmark: Benchmark, seconds: float, precision: str, folder: Path) -> Job:
    """Creates the job of a benchmark and writes its texts to `folder`."""
    items = items_of(benchmark.data)
    chosen = items if benchmark.most_texts is None else spread(items, benchmark.most_texts)
    write_items(folder / "texts.jsonl", chosen)
    write_items(folder / "held_out.jsonl", spread(items_of(benchmark.data, "validation"), 64))
    batch_size = benchmark.recipe.get("batch_size", 32)
    values: dict[str, Any] = {"epochs": plan_epochs(len(chosen), batch_size), **benchmark.recipe}
    return Job(
        model=str(find_pretrained(PACKAGED).folder),
        texts=str(folder / "texts.jsonl"),
        held_out=str(folder / "held_out.jsonl"),
        num_texts=len(chosen),
        num_columns=len(chosen[0][0]),
        labels=tuple(sorted({label for _, label in chosen})),
        precision=precision,
        seconds=seconds,
        **values,
    )


def _stored(job: Job, folder: Path) -> Path:
    path = folder / "job.json"
    job.write(path)
    return path


def trainings(*contestants: Callable[[Path], Contestant], tokens_per_step: int | None = None) -> Sides:
    """Training with bertune and others; also the machine's peaks if `tokens_per_step` is given."""

    def build(job: Job, folder: Path, environment: dict[str, str]) -> list[Contestant]:
        path = _stored(job, folder)
        built = [sides.bertune_training(path), *(make(path) for make in contestants)]
        return [*built, sides.peaks(path, tokens_per_step)] if tokens_per_step else built

    return build


def trainer(way: str, most_rounds: int | None = None) -> Callable[[Path], Contestant]:
    """The Hugging Face Trainer in one of the configurations of `peers.trainer`."""
    return lambda job: sides.trainer(job, way, most_rounds)


def cross_encoder(precision: str, most_rounds: int | None = None) -> Callable[[Path], Contestant]:
    """CrossEncoderTrainer in a precision."""
    return lambda job: sides.cross_encoder(job, precision, most_rounds)


def predictions(job: Job, folder: Path, environment: dict[str, str]) -> list[Contestant]:
    """Prediction with the same weights on all sides: bertune trains them, ONNX graphs are exported."""
    model = train_briefly(job, folder, environment, examples=640)
    path = _stored(replace(job, model=str(model)), folder)
    prepare_graphs = (sys.executable, "-m", "bertune.bench.peers.onnx_graph", str(model), str(folder))
    exported = run_one(Contestant("export", "ONNX export", prepare_graphs, reports=False), 1, environment)
    if exported.error:
        print(f"ONNX export failed, so ONNX Runtime will fail too: {exported.error}", file=sys.stderr)
    return [
        sides.bertune_prediction(path),
        sides.bertune_prediction(path, "fp32"),
        sides.pipeline(path, 1),
        sides.pipeline(path, 32),
        sides.onnx_runtime(path, folder / FP32, "fp32"),
        sides.onnx_runtime(path, folder / INT8, "int8"),
    ]


def commands(job: Job, folder: Path, environment: dict[str, str]) -> list[Contestant]:
    """Whole processes: bertune's command, and a script that does the same with the Trainer."""
    whole = replace(job, held_out=str(folder / "validation.jsonl"))
    write_items(Path(whole.held_out), items_of("cola", "validation"))
    write_items(folder / "test.jsonl", items_of("cola", "test"))
    path = _stored(whole, folder)
    program = Path(sys.executable).with_name("bertune")
    start = (str(program),) if program.is_file() else (sys.executable, "-m", "bertune")
    settings = (f"model.name={PACKAGED}", "train.epochs=1", "train.seed={round}")
    script = (sys.executable, "-m", "bertune.bench.peers.script", str(path), "--seed", "{round}")
    return [
        Contestant(
            sides.OURS,
            "bertune train cola",
            (*start, "train", "cola", *settings, "--out", "{folder}"),
            reports=False,
        ),
        Contestant(
            "script",
            "script around HF Trainer, best",
            (*script, "--test", str(folder / "test.jsonl"), "--out", "{folder}"),
        ),
    ]


def large_vocabulary(job: Job, folder: Path, environment: dict[str, str]) -> list[Contestant]:
    """Training of an encoder that consists almost entirely of embeddings, created on the fly."""
    model = folder / "encoder"
    make = (sys.executable, str(HERE / "large_encoder.py"), job.texts, str(model))
    made = run_one(Contestant("encoder", "encoder", make, reports=False), 1, environment)
    if made.error:
        raise BertuneError(f"creating the encoder failed: {made.error}")
    return trainings(trainer("best"))(replace(job, model=str(model)), folder, environment)


BENCHMARKS = (
    Benchmark(
        "cola",
        "Fine-tuning on short sentences",
        "CoLA, batches of 32, at most 64 tokens, MiniLM-L6",
        "cola",
        trainings(
            trainer("tutorial", 3),
            trainer("documentation"),
            trainer("best"),
            trainer("compile", 1),
            tokens_per_step=370,
        ),
        {"tutorial": 18, "best": 3},
        recipe={"max_length": 64},
        floor_target=0.45,
    ),
    Benchmark(
        "imdb256",
        "Fine-tuning on long texts",
        "1,600 IMDB reviews, batches of 16, truncated to 256 tokens, MiniLM-L6",
        "imdb",
        trainings(trainer("tutorial", 2), trainer("best"), tokens_per_step=3600),
        {"tutorial": 8, "best": 4},
        most_texts=1600,
        recipe={"max_length": 256, "batch_size": 16},
        rounds=4,
        floor_target=0.33,
    ),
    Benchmark(
        "mrpc",
        "Fine-tuning on pairs",
        "MRPC, batches of 32, at most 128 tokens, MiniLM-L6",
        "mrpc",
        trainings(trainer("best"), cross_encoder("fp32", 3), cross_encoder("bf16"), tokens_per_step=1700),
        {"best": 2.5, "cross_encoder_fp32": 2.5, "cross_encoder_bf16": 2.5},
        recipe={"max_length": 128},
    ),
    Benchmark(
        "frozen",
        "Training a head on a frozen encoder",
        "3,200 sentences of CoLA, 3 epochs including the filling of caches; batches of 32",
        "cola",
        trainings(trainer("best")),
        {"best": 6},
        most_texts=3200,
        recipe={"max_length": 64, "freeze": "encoder", "is_whole": True, "epochs": 3},
    ),
    Benchmark(
        "predict",
        "Prediction",
        "1,500 sentences of CoLA, from text to probabilities, the same weights for all; "
        "pipeline() in input order, ONNX Runtime sorted by length in batches of 64",
        "cola",
        predictions,
        {"pipeline_1": 10, "pipeline_32": 4, "onnx_int8": 1.2},
        most_texts=1500,
        recipe={"max_length": 64},
    ),
    Benchmark(
        "command",
        "The whole command",
        "CoLA, 1 epoch, from process start to exit: import, load, tokenize, train, evaluate, save",
        "cola",
        commands,
        {"script": 2.5},
        metric=WALL,
        recipe={"max_length": 64, "epochs": 1},
        rounds=3,
    ),
    Benchmark(
        "memory",
        "Peak memory with a large vocabulary",
        "120,000 x 768 embeddings, 2 layers, 12 heads, random weights; 10 steps of CoLA, evaluated and saved",
        "cola",
        large_vocabulary,
        {"best": 0.5},
        metric=MEMORY,
        most_texts=320,
        recipe={"max_length": 64, "epochs": 1, "is_whole": True, "saves": True},
        rounds=3,
    ),
)
BY_NAME = {benchmark.name: benchmark for benchmark in BENCHMARKS}
# The floor is not a benchmark: it is measured together with these.
FLOOR = tuple(b.name for b in BENCHMARKS if b.floor_target is not None)
