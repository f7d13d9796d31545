"""Results: what a run found, how sure that is, and the folder it is kept in. Knows nothing of running.

`result` holds the values, `histogram` the distributions, `estimate` turns replications into intervals, `compare` two
points into a verdict, `store` keeps runs on the disk, `machine` and `code` say where a run was made and by what,
`wording` how it is said.
"""

from workbench.results.error import ResultError
from workbench.results.histogram import Histogram
from workbench.results.result import (
    Estimate,
    ExpectationResult,
    Link,
    Point,
    Replication,
    Result,
    TimelineRow,
    Verdict,
)
from workbench.results.store import RESULTS, Entry, Run, Writer, begin, list_runs, open_run

__all__ = [
    "RESULTS",
    "Entry",
    "Estimate",
    "ExpectationResult",
    "Histogram",
    "Link",
    "Point",
    "Replication",
    "Result",
    "ResultError",
    "Run",
    "TimelineRow",
    "Verdict",
    "Writer",
    "begin",
    "list_runs",
    "open_run",
]
