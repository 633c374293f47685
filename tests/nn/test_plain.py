"""A saved model loaded without transformers predicts, bit for bit, what transformers' own classes predict."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from families import PACKED, UNEQUAL_LENGTHS, batch_for

from bertune.encoder_config import read_encoder_config
from bertune.errors import ModelError
from bertune.hugging_face import load_config
from bertune.nn import model as nn_model
from bertune.nn.model import StandardModel
from bertune.nn.plain import load_plain
from bertune.nn.pretrained import Pretrained
from bertune.tasks.head_spec import HeadSpec

CLASSES = {
    "AutoModelForSequenceClassification": 3,
    "AutoModelForMultipleChoice": 1,
    "AutoModelForTokenClassification": 3,
    "AutoModelForQuestionAnswering": 2,
    "AutoModelForMaskedLM": 0,
    "AutoModel": 0,
}
OWN = {"dtype", "transformers_version"}
PLAIN = ("bert", "roberta", "xlm-roberta", "camembert")


def saved(folder: Path, family: str, auto_class: str) -> HeadSpec:
    """A folder with a random model, as written by training."""
    torch.manual_seed(3)
    config = PACKED[family]()
    config.num_labels = CLASSES[auto_class] or 2
    options = {"add_pooling_layer": False} if auto_class == "AutoModel" else {}
    getattr(transformers, auto_class).from_config(config, **options).save_pretrained(str(folder))
    return HeadSpec(auto_class, CLASSES[auto_class])


@pytest.mark.parametrize("auto_class", CLASSES)
@pytest.mark.parametrize("family", PLAIN)
def test_outputs_equal_those_of_the_hugging_face_model(tmp_path: Path, family: str, auto_class: str) -> None:
    head, batch = saved(tmp_path, family, auto_class), batch_for(family, UNEQUAL_LENGTHS)
    if auto_class == "AutoModelForMaskedLM":
        asked_T = torch.arange(len(batch.ids_T)) % 3 == 1
        batch = replace(batch, gold=torch.where(asked_T, batch.ids_T, -100))
    plain, twin = nn_model.load_for_prediction(tmp_path, head), nn_model.load(tmp_path, head)
    assert isinstance(twin, StandardModel)
    assert not type(plain.hf).__module__.startswith("transformers")
    with torch.inference_mode():
        outputs, expected = plain(batch), twin(batch)
    # The rounding of a product with one row depends on its address.
    if auto_class == "AutoModelForMultipleChoice":
        torch.testing.assert_close(outputs, expected, atol=1e-6, rtol=0)
    else:
        assert np.array_equal(outputs.numpy(), expected.numpy())
    assert float(expected.std()) > 1e-3


@pytest.mark.parametrize("auto_class", CLASSES)
@pytest.mark.parametrize("is_bare", [True, False])
def test_a_new_model_equals_that_of_transformers_bit_for_bit(
    tmp_path: Path, auto_class: str, is_bare: bool
) -> None:
    """A new head on an encoder, and on a model of the same kind with another number of outputs."""
    pretrained, head = tmp_path / "pretrained", HeadSpec(auto_class, 5 if CLASSES[auto_class] == 3 else 2)
    saved(pretrained, "bert", "AutoModel" if is_bare else auto_class)
    built = []
    for make, read in ((nn_model.build_plain, read_encoder_config), (nn_model.build, load_config)):
        config = read(pretrained)
        assert config is not None
        if CLASSES[auto_class] == 3:
            config.num_labels = 5
        torch.manual_seed(7)
        built.append(make(Pretrained("x", pretrained, "pretrained"), config, head))
    plain, twin = built
    if auto_class == "AutoModelForMaskedLM" and is_bare:
        assert plain is None  # transformers creates new heads over the vocabulary
        return
    assert plain is not None and not type(plain.hf).__module__.startswith("transformers")
    names = [name for name, _ in twin.named_parameters()]
    assert [name for name, _ in plain.named_parameters()] == names
    for name, parameter in twin.named_parameters():
        assert torch.equal(plain.get_parameter(name), parameter), name
    rates = [[m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)] for model in built]
    assert sorted(rates[0]) == sorted(rates[1])
    for name, model in zip(("plain", "twin"), built, strict=True):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name)
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "plain" / file).read_bytes() == (tmp_path / "twin" / file).read_bytes(), file


@pytest.mark.parametrize("family", PLAIN)
def test_the_configuration_equals_that_of_transformers(tmp_path: Path, family: str) -> None:
    saved(tmp_path, family, "AutoModelForSequenceClassification")
    found, expected = read_encoder_config(tmp_path), transformers.AutoConfig.from_pretrained(str(tmp_path))
    assert found is not None
    assert {key: getattr(expected, key, None) for key in vars(found) if key not in OWN} == {
        key: value for key, value in vars(found).items() if key not in OWN
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "modernbert"),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("hidden_act", "gelu_new"),
        ("hidden_size", 0),
        ("hidden_size", 37),
        ("num_hidden_layers", 10**9),
        ("pad_token_id", 99),
        ("layer_norm_eps", None),
    ],
)
def test_unusual_configurations_are_left_to_transformers(tmp_path: Path, key: str, value: object) -> None:
    saved(tmp_path, "bert", "AutoModelForSequenceClassification")
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert load_plain(tmp_path, "AutoModelForSequenceClassification") is None


def test_mismatched_weights_are_named_in_the_error(tmp_path: Path) -> None:
    saved(tmp_path, "bert", "AutoModelForSequenceClassification")
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 3}))
    with pytest.raises(
        ModelError, match=r"have another shape for 16 parameters of the model, such as bert\.encoder"
    ):
        nn_model.load_for_prediction(tmp_path, HeadSpec("AutoModelForSequenceClassification", 3))


def test_predicting_imports_neither_transformers_nor_the_compiler_of_torch(tmp_path: Path) -> None:
    saved(tmp_path, "bert", "AutoModelForSequenceClassification")
    code = (
        "import sys; from pathlib import Path; from bertune.nn.plain import load_plain; import bertune.api\n"
        "assert load_plain(Path(sys.argv[1]), 'AutoModelForSequenceClassification') is not None\n"
        "slow = {'transformers', 'torch._dynamo', 'sympy', 'sklearn', 'matplotlib', 'pandas', 'scipy'}\n"
        "sys.exit(', '.join(sorted(slow & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
