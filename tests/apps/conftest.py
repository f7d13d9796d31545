"""The worlds in which the stories of the applications are played."""

import pytest
from worlds import Story, in_virtual_time, on_real_sockets


@pytest.fixture
def play(request: pytest.FixtureRequest):
    """What plays a story in the world that the test names."""
    plays: dict[str, object] = {"virtual": in_virtual_time, "real": on_real_sockets}
    return plays[request.param]


__all__ = ["Story"]
