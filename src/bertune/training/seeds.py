"""Train several seeds of one recipe into one run folder, and keep the best by validation (`train.seeds`).

The seeds are ordinary runs in `seeds/seed-N`, on the same split. When all are complete, the folder itself
becomes a complete run: it has the model, predictions and scores of the best seed, and the spread over all.
"""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bertune.config import Config
from bertune.errors import Interrupted
from bertune.files import shell_word, shown_path
from bertune.manifest import ManifestRecord
from bertune.manifest.data import DataRecord
from bertune.manifest.results import SeedRecord, SeedsRecord, SpreadRecord
from bertune.run import FORMAT, MANIFEST, Run
from bertune.run_writer import RunWriter
from bertune.source import Source
from bertune.training.events import DataReady, Event, Finished, Noted
from bertune.training.fit import complete_run, fit, is_complete, refuse_other_work
from bertune.training.preparing import Prepared, prepare
from bertune.training.selection import beats, best_metric

FOLDER = "seeds"
# Entries of the manifest of the best seed that do not describe the whole folder.
_OWN = ("format", "name", "status", "created", "source", "files", "checksum")


def train_seeds(source: Source, out: Path, resume: bool = False) -> Iterator[Event]:
    """Train `train.seeds` seeds of a source into the run folder `out`. The last event is Finished.

    Raises the errors of `train_source`. A resumed folder continues with the seed that was interrupted.
    """
    if is_complete(out, resume):
        yield from complete_run(out, source.config)
        return
    prepared = prepare(source)
    yield DataReady(prepared)
    config = prepared.config
    manifest = _first_manifest(source, prepared)
    if resume and (out / MANIFEST).exists():
        refuse_other_work(Run(out), prepared, manifest)
        writer = RunWriter(out)
    else:
        writer = RunWriter.create(out, config, manifest)
    with writer:
        runs: dict[int, Run] = {}
        for number in range(config.train.seeds):
            seed = (config.train.seed + number) % 2**32
            yield Noted(f"seed {seed} ({number + 1} of {config.train.seeds})")
            folder = out / FOLDER / f"seed-{seed}"
            own = replace(prepared, config=_config_of(config, seed))
            training = fit(own, folder, folder.exists(), name=f"{source.name}-{seed}", given=source.given)
            try:
                for event in training:
                    if isinstance(event, Finished):
                        runs[seed] = event.run
                    else:
                        yield event
            except Interrupted as error:  # names the folder of the seed, which is not the one to resume
                raise Interrupted(
                    f"stopped in seed {seed} ({number + 1} of {config.train.seeds}); everything is saved. "
                    f"Continue with: bertune train {shell_word(out)} --resume"
                ) from error
        found = spread(runs, best_metric(config.train.best_metric, prepared.encoder.fitted))
        best = runs[found.best or 0]
        writer.adopt(best)
        entries = {key: value for key, value in best.manifest.items() if key not in _OWN}
        warnings = [*entries.pop("warnings", []), *_collapsed(found)]
        writer.complete(**entries, seeds=found, warnings=list(dict.fromkeys(warnings)))
    where = shown_path(out / FOLDER)
    yield Noted(f"kept seed {found.best} of {len(runs)}, the best on validation; all are in {where}")
    yield Finished(Run(out))


def _config_of(config: Config, seed: int) -> Config:
    """The settings of one seed. All seeds have the split of the first one."""
    split_seed = config.train.seed if config.data.split_seed is None else config.data.split_seed
    return config.model_copy(
        update={
            "train": config.train.model_copy(update={"seed": seed, "seeds": 1}),
            "data": config.data.model_copy(update={"split_seed": split_seed}),
        }
    )


def _first_manifest(source: Source, prepared: Prepared) -> ManifestRecord:
    fitted = prepared.encoder.fitted
    return ManifestRecord(
        format=FORMAT,
        name=source.name,
        status="training",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=source.given,
        task=prepared.config.task.name,
        row_noun=fitted.task.noun,
        primary=best_metric(prepared.config.train.best_metric, fitted),
        labels=list(fitted.labels),
        notes=list(prepared.notes),
        warnings=list(prepared.warnings),
        data=DataRecord.model_validate(prepared.audit["data"]),
        scores={},
        details={},
        timings={},
    )


def spread(runs: Mapping[int, Run], primary: str) -> SeedsRecord:
    """Mean and standard deviation of every score over the runs by seed, and the best by validation.

    Seeds that collapsed are listed and included in the spread, because another run could collapse as well.
    """
    manifests = {seed: run.manifest for seed, run in runs.items()}
    best = next(iter(runs))
    values = {seed: _selected(manifest) for seed, manifest in manifests.items()}
    for seed, value in values.items():
        if beats(value, values[best], primary) and value is not None:
            best = seed
    splits = dict.fromkeys(split for manifest in manifests.values() for split in manifest["scores"])
    return SeedsRecord(
        best=best,
        primary=primary,
        runs=[
            SeedRecord(
                seed=seed,
                folder=f"{FOLDER}/seed-{seed}",
                scores=manifest["scores"],
                collapsed=any("collapsed:" in text for text in manifest["warnings"]),
            )
            for seed, manifest in manifests.items()
        ],
        spread={split: _spread([m["scores"].get(split, {}) for m in manifests.values()]) for split in splits},
    )


def _selected(manifest: Mapping[str, Any]) -> float | None:
    """The validation score of the checkpoint that the run selected."""
    value: float | None = manifest["training"]["best"]["value"]
    return value


def _spread(scores: list[Mapping[str, float | None]]) -> dict[str, SpreadRecord | None]:
    found: dict[str, SpreadRecord | None] = {}
    for name in dict.fromkeys(name for values in scores for name in values):
        defined = [value for values in scores if (value := values.get(name)) is not None]
        found[name] = (
            None
            if not defined
            else SpreadRecord(
                mean=statistics.fmean(defined),
                sd=statistics.stdev(defined) if len(defined) > 1 else None,
                low=min(defined),
                high=max(defined),
                seeds=len(defined),
            )
        )
    return found


def _collapsed(found: SeedsRecord) -> list[str]:
    names = [str(run.seed) for run in found.runs or [] if run.collapsed]
    if not names:
        return []
    seeds = f"seed {names[0]}" if len(names) == 1 else f"seeds {', '.join(names)}"
    return [f"{len(names)} of {len(found.runs or [])} seeds collapsed: {seeds}. The spread includes them"]
