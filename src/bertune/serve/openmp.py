"""Settings of OpenMP, which torch uses for several cores, in a process that also answers requests."""

import os
from collections.abc import MutableMapping

# Iterations of a waiting thread before it sleeps, about 0.1 ms. By default, threads wait for much longer, and
# take the cores away from the threads that answer requests. If they sleep at once, short texts take longer.
_SPINS = "20000"


def limit_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let idle OpenMP threads sleep sooner, unless the user has chosen.

    Has no effect once torch is imported.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environment.keys():
        environment["GOMP_SPINCOUNT"] = _SPINS
