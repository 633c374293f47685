"""Train the best settings of a search as an ordinary run, and complete the record of the search."""

from collections.abc import Generator
from dataclasses import replace

from optuna.trial import FrozenTrial

from bertune.errors import Interrupted
from bertune.files import remove, sync
from bertune.run import Run, is_run
from bertune.search import results
from bertune.search.setup import Work, write_record
from bertune.search.space import with_params
from bertune.training.events import Event, Finished
from bertune.training.fit import train_source
from bertune.training.seeds import train_seeds
from bertune.tuning import BEST, read_record


def train_winner(work: Work, best: FrozenTrial, label: str) -> Generator[Event, None, Run]:
    """Train the best settings on all splits into the folder `best`, which appears when it is complete."""
    config = with_params(work.source.config, best.params)
    if "train.seed" in best.params:
        split = {"split_seed": work.base.data.split_seed}
        config = config.model_copy(update={"data": config.data.model_copy(update=split)})
    folder, final = work.out / f"winner-{label}-{best.number}", work.out / BEST
    source = replace(work.source, config=config, name=f"{work.source.name}-best")
    training = train_seeds if config.train.seeds > 1 else train_source
    try:
        for event in training(source, folder, is_run(folder)):
            if not isinstance(event, Finished):
                yield event
    except Interrupted as error:
        raise Interrupted(
            "stopped while training the best settings; everything is saved. Repeat the command with --resume "
            "to continue"
        ) from error
    remove(final)  # left by an earlier, shorter search
    folder.rename(final)
    sync(work.out)
    return Run(final)


def is_current(work: Work, found: results.Found, best: FrozenTrial) -> bool:
    """Whether the record is complete and describes all trials."""
    record = read_record(work.out)
    return (
        record.status == "complete"
        and record.winner is not None
        and record.winner.trial == best.number
        and len(record.trials or []) == len(results.trial_records(found))
        and is_run(work.out / BEST)
    )


def write_complete(work: Work, found: results.Found, best: FrozenTrial, run: Run) -> None:
    """Write the complete record."""
    winner, one = results.winner_record(found, best, run), results.optimism_of(found)
    trials = results.trial_records(found)
    manifest = run.record
    complete = work.record.model_copy(
        update={
            "status": "complete",
            "space": results.dimension_records(found),
            "trials": trials,
            "winner": winner,
            "optimism": results.optimism_record(one),
            "sentences": results.sentences(found, winner, one, trials),
            "details": results.details(found),
            "warnings": list(manifest.warnings or []),
            "seconds": round(sum(trial.seconds or 0.0 for trial in trials), 3),
        }
    )
    write_record(work, complete)
