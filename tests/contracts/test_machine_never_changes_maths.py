"""Results depend on the settings, not on micro-batches or packing, and equal those of plain PyTorch."""

from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

import bertune.nn.model
from bertune.config import OptimizerConfig, TaskConfig, TrainConfig
from bertune.nn.batch import collate
from bertune.nn.blocks import freeze
from bertune.nn.device import Machine
from bertune.nn.heads.first_token import HEAD
from bertune.nn.model import CustomHeadModel, StandardModel, TextModel
from bertune.run import Run
from bertune.tasks import make_task
from bertune.text.batches import step_examples
from bertune.text.sequences import Sequence
from bertune.training.encoded import EncodedSplit
from bertune.training.loop import Plan, Step, TrainState, train_steps
from bertune.training.optim import Optimizer
from small_texts import labelled_texts, write_csv
from trainings import train

# Adam divides a gradient by its size, so the rounding error of a gradient of zero moves the weight.
# The bias of the keys has such a gradient: it cancels in the softmax, and no output depends on it.
NO_INFLUENCE = ("attention.self.key.bias", "attention.k_lin.bias")

_SIZES: dict[str, Any] = {
    "vocab_size": 99, "hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 37, "max_position_embeddings": 64, "initializer_range": 0.15,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": 3,
}  # fmt: skip
_LIKE_ROBERTA = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}
PACKED_FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": _LIKE_ROBERTA,
    "xlm-roberta": _LIKE_ROBERTA,
    "camembert": _LIKE_ROBERTA,
    "electra": {"embedding_size": 20},
    "distilbert": {"hidden_dim": 37, "dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Texts of two to sixteen tokens to train on, and some to validate on."""
    folder = tmp_path_factory.mktemp("data")
    header = ("text", "label")
    return (
        write_csv(folder / "train.csv", header, labelled_texts(43)),
        write_csv(folder / "validation.csv", header, labelled_texts(8, seed=6)),
    )


@pytest.fixture
def six_steps(
    files: tuple[Path, Path], tmp_path: Path, settings: Any
) -> Callable[..., tuple[Run, list[Any]]]:
    """Trains for six steps without dropout; further settings by key."""

    def go(**changes: Any) -> tuple[Run, list[Any]]:
        name = "-".join(str(value) for value in changes.values())
        fixed = {"data.validation": str(files[1]), "model.dropout": 0, "train.epochs": 1}
        return train(files[0], tmp_path / f"run-{name}", settings(**fixed, **changes))

    return go


def losses(run: Run) -> list[float]:
    return [line["loss"] for line in run.metrics()]


def norms(run: Run) -> list[float]:
    return [line["grad_norm"] for line in run.metrics()]


def assert_weights_agree(found: dict[str, Tensor], expected: dict[str, Tensor], within: float) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        if not name.endswith(NO_INFLUENCE):
            torch.testing.assert_close(
                found[name], tensor, atol=within, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
            )


def weights(run: Run) -> dict[str, Tensor]:
    return load_file(run.model_path / "model.safetensors")


@pytest.mark.parametrize("tokens", [8, 64])
def test_any_micro_batch_size_gives_the_same_losses_and_weights(tokens: int, six_steps: Any) -> None:
    whole, _ = six_steps(**{"machine.micro_batch_tokens": 4096})
    cut, _ = six_steps(**{"machine.micro_batch_tokens": tokens})
    assert len(losses(whole)) == 6
    assert losses(cut) == pytest.approx(losses(whole), abs=1e-5)
    assert norms(cut) == pytest.approx(norms(whole), rel=1e-4)
    assert_weights_agree(weights(cut), weights(whole), 1e-4)
    assert cut.manifest["scores"]["validation"]["log_loss"] == pytest.approx(
        whole.manifest["scores"]["validation"]["log_loss"], abs=1e-4
    )


@pytest.mark.parametrize("tokens", [8, 4096])
def test_padding_gives_the_same_losses_and_weights_as_packing(
    tokens: int, six_steps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, _ = six_steps(**{"machine.micro_batch_tokens": tokens})
    monkeypatch.setattr(bertune.nn.model, "why_not_packed", lambda hf: "the test wants it so")
    padded, _ = six_steps(**{"machine.micro_batch_tokens": tokens, "train.seed": 42})
    assert packed.manifest["model"]["forward"] == "packed"
    assert padded.manifest["model"]["forward"].startswith("padded")
    assert losses(padded) == pytest.approx(losses(packed), abs=1e-5)
    assert norms(padded) == pytest.approx(norms(packed), rel=1e-4)
    assert_weights_agree(weights(padded), weights(packed), 1e-4)


def test_any_number_of_threads_gives_the_same_losses_and_weights(six_steps: Any) -> None:
    before = torch.get_num_threads()
    try:
        one, _ = six_steps(**{"machine.threads": 1})
        two, _ = six_steps(**{"machine.threads": 2})
    finally:
        torch.set_num_threads(before)
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    assert_weights_agree(weights(two), weights(one), 1e-4)


def plain_pytorch(
    folder: Path, rows: list[tuple[str, str]], batches: list[list[int]], lr: float, warmup: int, clip: float
) -> tuple[list[float], list[float], Any]:
    """A plain training loop on padded batches: losses, gradient norms, and the model."""
    hf = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    ).train()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    named = list(hf.named_parameters())
    is_plain = [name.endswith("bias") or "LayerNorm" in name for name, _ in named]
    adamw = torch.optim.AdamW(
        [
            {
                "params": [p for (_, p), plain in zip(named, is_plain, strict=True) if not plain],
                "weight_decay": 0.3,
            },
            {
                "params": [p for (_, p), plain in zip(named, is_plain, strict=True) if plain],
                "weight_decay": 0.0,
            },
        ],
        lr=lr,
        eps=1e-8,
    )
    schedule = transformers.get_linear_schedule_with_warmup(adamw, warmup, len(batches))
    losses, norms = [], []
    for batch in batches:
        inputs = tokenizer([rows[i][0] for i in batch], padding=True, return_tensors="pt")
        gold = torch.tensor([["bad", "good"].index(rows[i][1]) for i in batch])
        loss = hf(**inputs, labels=gold).loss
        adamw.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(hf.parameters(), clip)))
        adamw.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses, norms, hf


@pytest.mark.parametrize("tokens", [64, 4096])
def test_twenty_steps_equal_those_of_a_plain_pytorch_loop(
    tokens: int, files: tuple[Path, Path], tiny_weights: Path, tmp_path: Path, settings: Any
) -> None:
    rows = labelled_texts(43)
    batches = [step.tolist() for step in islice(step_examples(43, 9, seed=11), 20)]
    expected_losses, expected_norms, hf = plain_pytorch(
        tiny_weights, rows, batches, lr=1e-3, warmup=5, clip=2.5
    )
    assert min(expected_norms) < 2.5 < max(expected_norms), "some steps are clipped and some are not"
    changes = {
        "data.validation": str(files[1]),
        "model.dropout": 0,
        "machine.micro_batch_tokens": tokens,
        "train.epochs": 4,
        "train.batch_size": 9,
        "train.seed": 11,
        "train.lr": 1e-3,
        "train.warmup": 5,
        "train.weight_decay": 0.3,
        "optimizer.max_grad_norm": 2.5,
        # The saved weights are those of the last step.
        "train.evaluate_every": 20,
    }
    run, _ = train(files[0], tmp_path / "run", settings(**changes))
    assert run.manifest["training"]["best"]["step"] == 20
    assert losses(run) == pytest.approx(expected_losses, abs=2e-5)
    assert norms(run) == pytest.approx(expected_norms, rel=1e-3)
    assert_weights_agree(weights(run), hf.state_dict(), 3e-4)
    # The tolerance is much smaller than the effect of a single step.
    moved = max(
        float((t - load_file(tiny_weights / "model.safetensors")[n]).abs().max())
        for n, t in weights(run).items()
    )
    assert moved > 5e-3


_CLIP = 2.0


def of_family(family: str, head: str) -> TextModel:
    """An encoder without dropout, the same at every call, with the standard head or a custom one."""
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(family, **_SIZES | PACKED_FAMILIES[family])
    if head == "standard":
        return StandardModel(transformers.AutoModelForSequenceClassification.from_config(config))
    return CustomHeadModel(transformers.AutoModel.from_config(config), HEAD(36, 3, 0.0))


def twenty_steps(model: TextModel, tokens: int) -> list[Step]:
    """Twenty steps on random texts of 1 to 60 tokens, with weight decay, and with clipping at some steps."""
    draw = np.random.default_rng(4)
    sequences = []
    for number in range(64):
        ids = draw.integers(5, 99, size=draw.choice([1, 3, 8, 9, 17, 40, 60])).astype(np.int32)
        types = (np.arange(len(ids)) > len(ids) // 2).astype(np.uint8)
        sequences.append(Sequence(ids, types, number, int(ids[0]) % 3))
    config = TrainConfig(batch_size=13, lr=1e-3, weight_decay=0.3, seed=11)
    trainee = TrainState(
        model,
        make_task(TaskConfig()).fitted(("0", "1", "2")),
        EncodedSplit("random", sequences, sequences),
        Machine(torch.device("cpu"), "cpu", "fp32", tokens, 1),
    )
    optimizer = Optimizer(model, config, OptimizerConfig(max_grad_norm=_CLIP))
    return list(train_steps(trainee, optimizer, config, Plan(total=20, warmup=5, per_epoch=5)))


@cache
def padded_steps(family: str, head: str) -> tuple[list[Step], TextModel]:
    """The twenty steps on padded, undivided batches, and the model after them."""
    model = of_family(family, head)
    model.forward = model.padded_forward  # type: ignore[method-assign]
    return twenty_steps(model, 4096), model


# XLM-RoBERTa and CamemBERT have the modules of RoBERTa under other names, so one case of each is enough.
CASES = [
    (family, tokens, head)
    for family in PACKED_FAMILIES
    for tokens in (64, 4096)
    for head in ("standard", "own")
    if family not in ("xlm-roberta", "camembert") or (tokens, head) == (64, "standard")
]


@pytest.mark.parametrize(("family", "tokens", "head"), CASES)
def test_every_family_takes_the_same_twenty_steps_packed_and_padded(
    family: str, tokens: int, head: str
) -> None:
    packed = of_family(family, head)
    assert packed.why_padded is None
    before = {name: tensor.clone() for name, tensor in packed.state_dict().items()}
    found = twenty_steps(packed, tokens)
    expected, padded = padded_steps(family, head)
    assert min(step.grad_norm for step in expected) < _CLIP < max(step.grad_norm for step in expected)
    assert [step.loss for step in found] == pytest.approx([step.loss for step in expected], abs=2e-5)
    assert [step.grad_norm for step in found] == pytest.approx(
        [step.grad_norm for step in expected], rel=1e-3
    )
    assert_weights_agree(packed.state_dict(), padded.state_dict(), 3e-4)
    # The tolerance is much smaller than the effect of a single step.
    moved = max(float((tensor - before[name]).abs().max()) for name, tensor in packed.state_dict().items())
    assert moved > 5e-3


def with_dropout(hf: Any, what: str | int, is_below: bool) -> None:
    """Sets dropout to 0.5 in the frozen layers or in those above; there is none elsewhere."""
    layers = (getattr(hf.base_model, "transformer", None) or hf.base_model.encoder).layer
    frozen = {
        "encoder": [hf.base_model],
        1: [hf.base_model.embeddings, layers[0]],
        "embeddings": [hf.base_model.embeddings],
    }[what]
    head = [child for child in hf.children() if child is not hf.base_model]
    above = head if what == "encoder" else [layers[1], *head]
    for module in frozen if is_below else above:
        for child in module.modules():
            if type(child).__name__.endswith("Dropout"):
                child.p = 0.5


@pytest.mark.parametrize("what", ["encoder", 1, "embeddings"])
@pytest.mark.parametrize("family", [*PACKED_FAMILIES, "mpnet", "deberta-v2"])
def test_frozen_layers_have_no_dropout_and_those_above_do(family: str, what: str | int) -> None:
    draw = np.random.default_rng(4)
    ids = [draw.integers(5, 99, size=size).astype(np.int32) for size in (1, 3, 9, 17, 17, 40)]
    batch = collate([Sequence(i, np.zeros(len(i), np.uint8), group) for group, i in enumerate(ids)])
    are_equal = []
    for is_below in (True, False):
        config = transformers.AutoConfig.for_model(family, **_SIZES | PACKED_FAMILIES.get(family, {}))
        hf = transformers.AutoModelForSequenceClassification.from_config(config)
        with_dropout(hf, what, is_below)
        model = StandardModel(hf)
        freeze(model, what)
        outputs = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            outputs.append(model.train()(batch).detach())
        are_equal.append(torch.equal(*outputs))
    assert are_equal == [True, False]
