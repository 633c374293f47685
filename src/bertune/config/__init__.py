"""All settings, in closed, frozen sections."""

from bertune.config.commands import CrossValidateConfig, ExportConfig, PredictConfig, ServeConfig
from bertune.config.data import DataConfig
from bertune.config.decide import DecideConfig, GateConfig
from bertune.config.section import CHANGEABLE, Auto, Section, Settings, comma_separated, fraction_in
from bertune.config.track import TrackConfig
from bertune.config.training import (
    SHORT_NAMES,
    MachineConfig,
    ModelConfig,
    OptimizerConfig,
    TaskConfig,
    TrainConfig,
)
from bertune.config.tune import TuneConfig

__all__ = [
    "AFTER_TRAINING",
    "CHANGEABLE",
    "SHORT_NAMES",
    "Auto",
    "Config",
    "CrossValidateConfig",
    "DataConfig",
    "DecideConfig",
    "ExportConfig",
    "GateConfig",
    "MachineConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PredictConfig",
    "Section",
    "ServeConfig",
    "Settings",
    "TaskConfig",
    "TrackConfig",
    "TrainConfig",
    "TuneConfig",
    "comma_separated",
    "fraction_in",
]


# The sections that do not concern a single run, which does not record them.
AFTER_TRAINING = ("cross_validate", "tune", "predict", "export", "serve")


class Config(Section):
    """All settings. The command line, TOML files and the Python interface share this definition."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    task: TaskConfig = TaskConfig()
    train: TrainConfig = TrainConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    machine: MachineConfig = MachineConfig()
    cross_validate: CrossValidateConfig = CrossValidateConfig()
    tune: TuneConfig = TuneConfig()
    gate: GateConfig = GateConfig()
    decide: DecideConfig = DecideConfig()
    track: TrackConfig = TrackConfig()
    predict: PredictConfig = PredictConfig()
    export: ExportConfig = ExportConfig()
    serve: ServeConfig = ServeConfig()

    def to_settings(self) -> Settings:
        """The training settings that are set, as nested plain values.

        `Config.model_validate` restores an equal Config from them.
        """
        found = self.model_dump(mode="json", exclude_none=True, exclude=set(AFTER_TRAINING))
        unused = {"gate": not found["gate"], "track": not self.track.to}
        return {section: values for section, values in found.items() if not unused.get(section)}

    def to_toml(self) -> str:
        """The complete settings as a TOML document, which `bertune.settings.read_toml` reads."""
        import tomlkit  # only to write

        return tomlkit.dumps(self.to_settings())
