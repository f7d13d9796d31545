"""The host of twenty processes is killed with -9; see failover.py, which plays it any number of times."""

from pathlib import Path

import pytest
from failover import fail_over
from member import DEADLINE


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("repetition", range(3))
def test_a_killed_host_is_followed_and_nothing_is_lost(repetition: int, tmp_path: Path) -> None:
    del repetition
    assert fail_over(tmp_path) <= 2 * DEADLINE
