"""What behaviours print: it goes to standard error, so that standard output is ours alone."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def prints_aside() -> Iterator[None]:
    """Until the end, whatever this process and those it starts print goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        # A behaviour may have closed its stdout, which is no reason to lose ours.
        with contextlib.suppress(ValueError):
            sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
