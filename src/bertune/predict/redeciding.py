"""Calibrate a saved model, and fit its decision rule, on a labelled file after training."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertune.config import Settings
from bertune.errors import ConfigError, DataError
from bertune.metadata import ModelMetadata, update_decision
from bertune.predict.deciding import Decided, RowOutputs, fit_decisions
from bertune.predict.loading import load_model, model_folder
from bertune.predict.model import Model
from bertune.predict.predictor import Predictor
from bertune.run import Run
from bertune.settings import resolve


@dataclass(frozen=True)
class Decision:
    """The decision rule and the calibration that were fitted to a labelled file."""

    folder: Path  # the model folder, whose bertune.json now has them
    model: Model  # with the rule
    num_examples: int
    decided: Decided
    input_notes: tuple[str, ...] = ()  # notes on the file that was read and on its columns

    @property
    def sentence(self) -> str:
        """The rule in one sentence; empty if only a temperature was fitted."""
        return "" if self.decided.decision is None else str(self.decided.decision["sentence"])

    def plain(self) -> dict[str, Any]:
        """The result as plain JSON."""
        return {
            "model": str(self.folder),
            "examples": self.num_examples,
            "calibration": self.decided.calibration,
            "decision": self.decided.decision,
            "notes": list(self.decided.notes),
            "warnings": list(self.decided.warnings),
        }


def decide(source: Run | str | Path, data: object, settings: Settings) -> Decision:
    """Fit temperature and decision rule of a saved model to labelled data, and store them with it.

    Nothing is written if no rule can be fitted or, without a target, no temperature. The rows must not have
    been used in training, nor to select the checkpoint. Raises ConfigError, DataError, ModelError.
    """
    config = resolve(settings)
    config.decide.refuse_contradictions()
    if not config.decide.has_target and config.decide.calibration == "none":
        raise ConfigError(
            "there is nothing to fit: set a target, such as decide.max_error=0.02 or decide.objective=f1, "
            "or remove decide.calibration=none"
        )
    model = load_model(source, {key: values for key, values in settings.items() if key != "decide"})
    plain = replace(model.fitted, calibration=None, rule=None)
    if not config.decide.has_target and plain.calibration_kind is None:
        raise ConfigError(
            "there is nothing to fit: the predictions of this model have no probability of being correct, so "
            "they cannot be calibrated"
        )
    folder = model_folder(source)
    found = model.labelled(data)
    rows = RowOutputs.of(
        Predictor(plain, model.backend),
        found.examples,
        found.sequences,
    )
    place = str(found.examples[0].origin.file)
    name = Path(place).name
    decided = fit_decisions(found.fitted, rows, config.decide, config.train.seed, name)
    if not config.decide.has_target and decided.calibration is None:
        raise DataError(f"{name}: {decided.notes[0]}. The model was not changed. Use more labelled rows")
    if decided.keeps_temperature:
        decided = replace(decided, notes=(*decided.notes, "the model keeps its earlier temperature"))
    if model.fitted.rule is not None and decided.fitted.rule is None:
        note = (
            "the decision rule of the model was removed, because it does not apply to the new temperature. "
            "Set decide.max_error or another target to fit a new one"
        )
        decided = replace(decided, notes=(*decided.notes, note))
    update_decision(folder, decided.fitted.calibration, decided.fitted.rule)
    metadata = _with(model.metadata, decided)
    encoder = replace(
        model.encoder,
        fitted=replace(model.fitted, calibration=decided.fitted.calibration, rule=decided.fitted.rule),
    )
    changed = Model(metadata, encoder, model.backend)
    return Decision(folder, changed, len(found.examples), decided, found.notes)


def _with(metadata: ModelMetadata, decided: Decided) -> ModelMetadata:
    return replace(metadata, calibration=decided.fitted.calibration, decision=decided.fitted.rule)
