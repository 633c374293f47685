"""The memory that a command needs before it can start."""

from bertune.errors import ResourceError

# torch maps about this many bytes of libraries and aborts without a Python exception if it cannot.
_MIN_ADDRESS_SPACE = 900 * 2**20


def refuse_small_address_space() -> None:
    """Raise ResourceError if `ulimit -v` is too low to load torch; call it before torch is imported."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _MIN_ADDRESS_SPACE:
        raise ResourceError(
            f"out of memory: the address space is limited to {limit // 2**20:,} MiB (ulimit -v), and loading "
            f"torch takes at least {_MIN_ADDRESS_SPACE // 2**20:,} MiB. Raise the limit"
        )
