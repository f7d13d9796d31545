"""`workbench zinc demo`, driven by a script and without a terminal."""

from typing import Any

import pytest


@pytest.mark.slow
def test_the_demo_outlives_its_root(workbench: Any) -> None:
    told = workbench("zinc", "demo", "-n", 4, "--deadline", 0.4, "--script", "0.5 kill, 2.5 join, 3.5 quit")
    assert told.code == 0, told.err
    what = [line.split("s  ", 1)[1] for line in told.out.splitlines()]
    assert what[:4] == ["b joins", "c joins", "d joins", "4 endpoints; a is the root and puts their edits in order"]
    assert what[4] == "a is killed, the root"
    assert "takes the root's place" in what[5]
    assert "e joins" in what
    assert what[-1].startswith("the 4 copies are equal: ")


def test_a_script_that_makes_no_sense_is_refused(workbench: Any) -> None:
    told = workbench("zinc", "demo", "--script", "2 kill, 3 dance")
    assert (told.code, told.out) == (2, "")
    assert "'3 dance' is no step of a script; a step is a time in seconds and one of kill, join, quit" in told.err
