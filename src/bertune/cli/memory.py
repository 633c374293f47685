"""The memory that a command needs before it can start."""

from pathlib import Path

from bertune.errors import InputError, ResourceError

# torch maps about this many bytes of libraries and aborts without a Python exception if it cannot.
_MIN_ADDRESS_SPACE = 900 * 2**20


def refuse_small_address_space(model: str | None = None) -> None:
    """Raise ResourceError if `ulimit -v` is too low to load torch; call it before torch is imported.

    `model` is the run or model folder that the command uses: an exported graph does not need torch.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    is_small = limit != resource.RLIM_INFINITY and limit < _MIN_ADDRESS_SPACE
    if is_small and not (model is not None and _is_graph(Path(model))):
        raise ResourceError(
            f"out of memory: the address space is limited to {limit // 2**20:,} MiB (ulimit -v), and loading "
            f"torch takes at least {_MIN_ADDRESS_SPACE // 2**20:,} MiB. Raise the limit"
        )


def _is_graph(folder: Path) -> bool:
    from bertune.metadata import recorded_metadata

    try:
        recorded = recorded_metadata(folder)
    except InputError:  # reported when the model is loaded
        return False
    return recorded is not None and recorded.export is not None and recorded.export.graph is not None
