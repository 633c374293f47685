"""A loss over a whole step: the division into micro-batches changes only rounding."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertune.config import ModelConfig, OptimizerConfig, TaskConfig, TrainConfig
from bertune.data.rows import Origin
from bertune.nn.batch import collate
from bertune.nn.device import Machine
from bertune.nn.model import TextModel
from bertune.nn.pretrained import Pretrained
from bertune.saved_model import new_model
from bertune.tasks import FittedTask, Task, make_task
from bertune.tasks.embeddings.task import Example
from bertune.text.batches import micro_batches
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer
from bertune.training import loop
from bertune.training.encoded import EncodedSplit
from bertune.training.optim import Optimizer
from small_texts import labelled_texts

WHOLE, CUT = 4096, 32  # tokens of a micro-batch: all of the step, or a few sequences


def embeddings(**options: object) -> Task:
    return make_task(TaskConfig(name="embeddings", **options))


def examples(scored: bool) -> list[Example]:
    texts = [text for text, _ in labelled_texts(24)]
    return [
        Example(str(i), Origin("pairs.csv", i + 2), (texts[i], texts[i + 12]), i % 5 / 2 if scored else None)
        for i in range(12)
    ]


def model(folder: Path, task: FittedTask, dropout: float) -> TextModel:
    return new_model(Pretrained("tiny", folder, "pretrained"), ModelConfig(dropout=dropout), task).train()


def trainee(folder: Path, task: Task, found: list[Example], dropout: float, tokens: int) -> loop.TrainState:
    fitted = task.fit(found)
    sequences = fitted.encode(found, Tokenizer.pretrained(folder), None)
    machine = Machine(torch.device("cpu"), "cpu", "fp32", tokens, 1)
    split = EncodedSplit("pairs.csv", found, sequences)
    return loop.TrainState(model(folder, fitted, dropout), fitted, split, machine)


def one_step(who: loop.TrainState) -> tuple[loop.Step, dict[str, Tensor]]:
    """A step of the loop, and the gradients after it."""
    config = TrainConfig(batch_size=12, weight_decay=0)
    optimizer = Optimizer(who.model, config, OptimizerConfig(max_grad_norm=0))
    step = next(loop.train_steps(who, optimizer, config, loop.Plan(total=2, warmup=0, per_epoch=1)))
    return step, gradients(who.model)


def gradients(who: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in who.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("options", "scored"),
    [({}, False), ({"matryoshka_dims": (36, 8)}, False), ({"loss": "cosent"}, True), ({"loss": "mse"}, True)],
)
def test_splitting_a_step_gives_the_same_loss_and_gradients(
    options: dict[str, object], scored: bool, tiny_weights: Path
) -> None:
    found = examples(scored)
    whole, expected = one_step(trainee(tiny_weights, embeddings(**options), found, 0.0, WHOLE))
    cut, gradient = one_step(trainee(tiny_weights, embeddings(**options), found, 0.0, CUT))
    assert cut.loss == pytest.approx(whole.loss, rel=1e-5)
    assert cut.grad_norm == pytest.approx(whole.grad_norm, rel=1e-4)
    assert gradient.keys() == expected.keys()
    largest = max(float(g.abs().max()) for g in expected.values())
    for name, tensor in expected.items():
        torch.testing.assert_close(gradient[name], tensor, atol=1e-5 * largest, rtol=0)


def test_negatives_come_from_the_whole_step_not_only_the_micro_batch(tiny_weights: Path) -> None:
    found = examples(scored=False)
    whole, _ = one_step(trainee(tiny_weights, embeddings(), found, 0.0, WHOLE))
    alone = [
        one_step(trainee(tiny_weights, embeddings(), found[i : i + 2], 0.0, WHOLE))[0].loss
        for i in range(0, 12, 2)
    ]
    assert whole.loss > max(alone)


def test_both_passes_of_a_split_step_use_the_same_dropout(tiny_weights: Path) -> None:
    seed = 7
    who = trainee(tiny_weights, embeddings(), examples(scored=False), 0.3, CUT)
    sequences = who.part.sequences
    optimizer = Optimizer(who.model, TrainConfig(), OptimizerConfig())
    cut = partial(micro_batches, [len(s) for s in sequences])
    loss, _ = loop._accumulate_with_grad_cache(who, optimizer, sequences, cut, seed, CUT)
    found = gradients(who.model)

    # A single graph over all micro-batches, which gradient caching avoids.
    optimizer.zero_gradients()
    pieces: list[Tensor] = []
    order: list[Sequence] = []
    for number, positions in enumerate(cut(CUT)):
        order += [sequences[i] for i in positions]
        torch.manual_seed(seed + number)
        pieces.append(who.model(collate([sequences[i] for i in positions])))
    assert len(pieces) > 3
    expected, _ = who.fitted.loss(torch.cat(pieces), collate(order))
    expected.backward()
    assert loss.item() == expected.item()
    for name, tensor in gradients(who.model).items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-4)


def test_fitting_and_scoring_other_pairs_does_not_change_the_loss(tiny_weights: Path) -> None:
    """Scores from 0 to 100 in another file must not change the target of scores from 0 to 2."""
    found = examples(scored=True)
    others = [replace(e, gold=50.0 * e.gold) for e in found if e.gold is not None]
    task = embeddings(loss="mse")
    first = task.fit(found)
    batch = collate(first.encode(found, Tokenizer.pretrained(tiny_weights), None))
    outputs = torch.randn((24, 36), generator=torch.Generator().manual_seed(3))
    expected = first.loss(outputs, batch)[0].item()
    second = task.fit(others)
    first.for_scoring(others)
    vectors = list(outputs.numpy())
    first.score([first.decode(vectors[2 * i : 2 * i + 2], [], e) for i, e in enumerate(others)], others)
    assert first.loss(outputs, batch)[0].item() == expected != second.loss(outputs, batch)[0].item()
    assert first.notes[0] == "training on pairs with scores from 0 to 2 (task.loss=mse)"
    assert second.notes[0] == "training on pairs with scores from 0 to 100 (task.loss=mse)"
