"""Reads what trackers stored, with their own libraries where these can read it."""

from collections import defaultdict
from pathlib import Path
from typing import Any

_BLOCK, _HEADER = 32768, 7


def tensorboard_scalars(run: Path) -> dict[str, dict[int, float]]:
    """The values of each scalar in the event files of a run, by step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    found: dict[str, dict[int, float]] = {}
    for name in events.Tags()["scalars"]:
        values = events.Scalars(name)
        assert len({value.step for value in values}) == len(values), f"{name} has a step twice"
        found[name] = {value.step: value.value for value in values}
    return found


def tensorboard_texts(run: Path) -> dict[str, str]:
    """The texts in the event files of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    texts = [name for name in events.Tags()["tensors"] if name.endswith("text_summary")]
    return {
        name.partition("/")[0]: events.Tensors(name)[-1].tensor_proto.string_val[0].decode() for name in texts
    }


def wandb_records(run: Path) -> dict[str, list[Any]]:
    """The records of all offline runs in a run folder, by kind, in the order in which they were written."""
    from wandb.proto import wandb_internal_pb2

    found = defaultdict(list)
    for file in sorted((run / "wandb").glob("offline-run-*/*.wandb")):
        for data in _log_records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            kind = record.WhichOneof("record_type")
            found[kind].append(getattr(record, kind))
    return found


def _log_records(content: bytes) -> list[bytes]:
    """The records of a file in LevelDB's log format, after the header of W&B."""
    assert content[:4] == b":W&B"
    place, parts, found = _HEADER, b"", []
    while place + _HEADER <= len(content):
        if _BLOCK - place % _BLOCK < _HEADER:  # the rest of a block is empty
            place += _BLOCK - place % _BLOCK
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        parts += content[place + _HEADER : place + _HEADER + size]
        place += _HEADER + size
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(parts)
            parts = b""
    return found
