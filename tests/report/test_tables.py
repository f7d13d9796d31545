from collections.abc import Callable

import pytest

from workbench.report import tables, worlds
from workbench.report.tables import Cell, Grid
from workbench.results import Estimate, Point, Result, Run


def test_a_table_has_a_row_per_metric_and_a_column_per_point(virtual: Result) -> None:
    content = tables.grid(virtual, ["cross_site_share", "latency.p99"])
    assert content.heads == ("", "round-robin", "priority")
    assert [str(row[0]) for row in content.rows] == ["cross-site share", "latency p99"]
    assert content.rows[0][2] == Cell("0.0 %", "[0.0, 0.0]")


def test_many_points_turn_the_table(libraries: Result) -> None:
    content = tables.grid(libraries, ["throughput"])
    assert content.heads == ("", "throughput")
    assert len(content.rows) == 10
    assert str(content.rows[0][0]) == "ours, one-core"


def test_what_has_no_value_is_a_dash(libraries: Result) -> None:
    content = tables.grid(libraries, ["throughput"])
    assert [row[1] for row in content.rows if "nng" in str(row[0])] == [Cell("—"), Cell("—")]


def test_the_main_table_holds_the_whole_scenario_and_what_a_verdict_is_about(virtual: Result) -> None:
    main = tables.main_metrics(virtual)
    assert main[:3] == ["requests", "answered", "lost"]
    assert "new-york:cross_site_share" in main
    assert "london:latency.p99" not in main
    assert "london:latency.p99" in tables.all_metrics(virtual)


def test_plain_text_stands_in_columns() -> None:
    content = Grid(("", "a", "bb"), ((Cell("x"), Cell("1 ms", "[0, 2]"), Cell("—")),))
    assert tables.text(content) == "             a  bb\n-  -----------  --\nx  1 ms [0, 2]   —\n"


def test_markup_in_a_name_is_text_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    point = Point({"routing": "[red]x[/red]"}, {"[bold]m": Estimate(1.0, None, None, "count", 1)})
    content = tables.grid(Result("s", "virtual", "r", [point]))
    Console(width=120).print(tables.table(content, "[blink]title"[:0] or None))
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert "[bold]m" in shown


def test_off_a_terminal_a_table_is_plain_text(capsys: pytest.CaptureFixture[str], virtual: Result) -> None:
    content = tables.grid(virtual, ["lost"])
    tables.show(content)
    assert capsys.readouterr().out == tables.text(content)


def test_an_empty_grid_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(Grid(("", "a"), ()))
    assert "a" in capsys.readouterr().out


# Two runs side by side


def test_the_simulated_run_comes_first_and_the_difference_is_measured_minus_simulated(
    virtual: Result, real: Result
) -> None:
    both = worlds.beside(real, virtual, ["latency.mean"])
    assert both.names == ("simulated", "measured")
    assert not both.paired
    for row in both.rows:
        assert row.first.n == 20
        assert row.second.n == 3
        assert row.difference.value == pytest.approx(row.second.value - row.first.value)  # type: ignore[operator]
    # Both worlds of the invented data differ by 0.4 ms.
    assert both.rows[1].difference.value == pytest.approx(0.0004, abs=0.0002)


def test_two_simulated_runs_of_the_same_seeds_are_paired(virtual: Result) -> None:
    both = worlds.beside(virtual, virtual, ["latency.mean"])
    assert both.paired
    assert [row.difference for row in both.rows] == [Estimate(0.0, 0.0, 0.0, "s", 20)] * 2


def test_the_distance_between_the_worlds_is_that_of_their_latencies(virtual: Result, real: Result) -> None:
    both = worlds.beside(virtual, real)
    assert [(where["routing"], name) for where, name, _ in both.distances] == [
        ("round-robin", "latency"),
        ("priority", "latency"),
    ]
    for _, _, apart in both.distances:
        assert 0.05 < apart.kolmogorov < 0.2
        assert apart.area == pytest.approx(0.0004, abs=0.0002)


def test_only_what_both_have_is_compared(virtual: Result) -> None:
    lone = Result(
        "priority-routing", "real", "", [Point({"routing": "priority"}, {"lost": virtual.points[1].metrics["lost"]})]
    )
    both = worlds.beside(virtual, lone)
    assert [(row.set["routing"], row.metric) for row in both.rows] == [("priority", "lost")]
    assert both.distances == ()
    assert worlds.distance_grid(both).rows == ()


def test_each_setting_heads_its_metrics(virtual: Result, real: Result) -> None:
    content = worlds.grid(worlds.beside(virtual, real, ["lost"]))
    assert content.heads == ("", "simulated", "measured", "difference")
    assert [str(row[0]).strip() for row in content.rows] == [
        "round-robin",
        "lost requests",
        "priority",
        "lost requests",
    ]


def test_the_other_world_is_found_among_the_kept_runs(kept: Callable[..., Run], virtual: Result, real: Result) -> None:
    from workbench.results.store import counterpart

    simulated = kept(virtual)
    assert counterpart(simulated) is None
    kept(virtual)
    assert counterpart(simulated) is None
    measured = kept(real)
    found = counterpart(simulated)
    assert found is not None
    assert found.name == measured.name
