import dataclasses
import io

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from workbench.report import pictures, plots, style
from workbench.report.setting import Window
from workbench.report.share import shares
from workbench.results import Estimate, Histogram, Point, Replication, Result, TimelineRow, compare, estimate

WINDOW = Window(20, 40, "foo at new-york down")


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def titles(figure: Figure) -> list[str]:
    return [panel.get_title(loc="left") for panel in figure.axes]


def texts(panel: Axes) -> list[str]:
    return [text.get_text() for text in panel.texts]


def row(start: float, answered: dict[str, int], sent: int = 1) -> TimelineRow:
    return {
        "workload": "a",
        "bin_start_s": start,
        "sent": sent,
        "answered": answered,
        "lost": 0,
        "latency_sum_s": 0.0,
    }


# The data under the pictures


def test_shares_are_of_all_answers_in_a_bin_and_home_comes_first() -> None:
    runs = [
        Replication(0, 0, 0, {}, timeline=[row(0.0, {"z": 1, "a": 3}), row(0.5, {"z": 4})]),
        Replication(0, 1, 1, {}, timeline=[row(0.0, {"a": 4}), row(0.5, {"z": 2, "a": 2})]),
    ]
    found = shares(Point({}, {}, runs), "a")
    assert found is not None
    assert found.sites == ("a", "z")
    assert found.width_s == 0.5
    assert found.mean.tolist() == [[7 / 8, 2 / 8], [1 / 8, 6 / 8]]
    assert found.low[0] == pytest.approx([0.75625, 0.0125])
    assert found.high[0] == pytest.approx([0.99375, 0.4875])
    assert found.low[1].tolist() == found.high[1].tolist() == [1.0, 1.0]


def test_bins_after_the_last_request_are_left_out_and_silence_is_no_share() -> None:
    timeline = [row(0.0, {"a": 1}), row(1.0, {}), row(2.0, {"a": 1}), row(3.0, {"z": 1}, sent=0)]
    found = shares(Point({}, {}, [Replication(0, 0, 0, {}, timeline=timeline)]), "a")
    assert found is not None
    assert found.start_s.tolist() == [0.0, 1.0, 2.0]
    assert np.isnan(found.mean[0]).tolist() == [False, True, False]


def test_a_workload_without_answers_has_no_shares(virtual: Result) -> None:
    assert shares(virtual.points[0], "nobody") is None


def test_invented_priority_keeps_new_yorks_answers_home_but_for_the_fault(virtual: Result) -> None:
    found = shares(virtual.points[1], "new-york")
    assert found is not None
    home = found.mean[0]
    assert (home[found.start_s < 20] == 1).all()
    assert (home[(found.start_s > 21) & (found.start_s < 39)] == 0).all()
    assert (home[found.start_s > 41] == 1).all()


# The pictures


def test_answers_over_time_has_a_panel_per_point_and_workload_and_shades_the_fault(virtual: Result) -> None:
    figure = drawn(plots.answers_over_time(virtual, [WINDOW]))
    assert titles(figure) == [
        "round-robin: requests of new-york",
        "priority: requests of new-york",
        "round-robin: requests of london",
        "priority: requests of london",
    ]
    assert all(texts(panel) == ["foo at new-york down"] for panel in figure.axes)
    assert figure.axes[0].get_ylabel() == "share of answers (%)"
    assert figure.axes[2].get_xlabel() == "time since the run began (s)"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["answered in new-york", "answered in london", "95 % of replications", "fault"]


def test_the_distribution_is_the_pooled_one_and_has_units(virtual: Result) -> None:
    figure = drawn(plots.distribution(virtual))
    (panel, *_) = figure.axes
    assert panel.get_xlabel() == "time from request to answer (ms)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["round-robin", "priority"]
    for line, point in zip(panel.lines, virtual.points, strict=True):
        pooled = point.histogram("latency")
        times, slower = line.get_data()
        # At its median half of the answers are slower, give or take one bucket.
        place = int(np.searchsorted(np.asarray(times), pooled.quantile(0.5) * 1e3))
        assert np.asarray(slower)[place] >= 0.5 >= np.asarray(slower)[place + 1]


def test_intervals_write_the_numbers_beside_the_marks(virtual: Result) -> None:
    figure = drawn(plots.intervals(virtual, ["cross_site_share", "lost", "not_there"]))
    assert titles(figure) == ["cross-site share", "lost requests"]
    assert texts(figure.axes[0])[1] == "0.0 % [0.0, 0.0]"
    assert figure.axes[0].get_xlabel() == "%"


def test_libraries_show_the_ratio_to_ours_and_say_why_one_is_missing(libraries: Result) -> None:
    figure = drawn(plots.libraries(libraries))
    assert titles(figure) == [
        "throughput, one-core",
        "throughput, two-cores",
        "round trip p50, one-core",
        "round trip p50, two-cores",
    ]
    labels = texts(figure.axes[0])
    assert labels[2] == "pynng is not installed"
    assert "×" not in labels[0]
    verdict = compare.compare(libraries.points[0], libraries.points[1], "throughput", by="ratio")
    assert verdict.ratio is not None
    assert f"× {verdict.ratio.value:.3f} [{verdict.ratio.low:.3f}, {verdict.ratio.high:.3f}]" in labels[1]


def test_a_quantity_that_only_workloads_have_is_drawn_for_them(libraries: Result) -> None:
    def renamed(point: Point) -> Point:
        runs = [
            dataclasses.replace(
                run,
                metrics={f"{_WORKLOAD[name]}:{name}": value for name, value in run.metrics.items()},
                histograms={f"ping:{name}": value for name, value in run.histograms.items()},
            )
            for run in point.replications
        ]
        return estimate.summarise(point.set, runs)

    result = dataclasses.replace(libraries, points=[renamed(point) for point in libraries.points], verdicts=[])
    figure = drawn(plots.libraries(result))
    assert titles(figure)[::2] == ["flood: throughput, one-core", "ping: round trip p50, one-core"]
    assert pictures._histogram(result, "round_trip") == "ping:round_trip"
    assert drawn(plots.distribution(result, "ping:round_trip")).axes[0].get_xlabel() == "ping: round trip (µs)"


_WORKLOAD = {"throughput": "flood", "round_trip.p50": "ping"}


def test_simulated_and_measured_keep_their_colours(virtual: Result, real: Result) -> None:
    figure = drawn(plots.worlds(virtual, real))
    assert titles(figure) == ["round-robin", "priority"]
    for panel in figure.axes:
        assert [line.get_color() for line in panel.lines] == [style.SIMULATED, style.MEASURED]
        assert texts(panel)[0].startswith("greatest gap ")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["simulated", "measured"]
    figure = drawn(plots.worlds_intervals(virtual, real, ["lost"]))
    assert {line.get_color() for line in figure.axes[0].lines} == {style.SIMULATED, style.MEASURED}


def test_what_is_not_there_is_not_drawn() -> None:
    empty = Result("s", "virtual", "r", [Point({}, {}, [Replication(0, 0, 0, {})])])
    assert plots.answers_over_time(empty) is None
    assert plots.distribution(empty) is None
    assert plots.intervals(empty, ["lost"]) is None
    assert plots.libraries(empty) is None
    assert plots.worlds(empty, empty) is None
    assert plots.worlds_intervals(empty, empty, ["lost"]) is None


def test_hardly_any_data_is_drawn_without_complaint() -> None:
    runs = [
        Replication(0, 0, 0, {"lost": 0.0}, {"latency": Histogram.of([5])}, [row(0.0, {"a": 1}), row(1.0, {"a": 1})])
    ]
    one = Result("s", "virtual", "r", [Point({}, {"lost": Estimate(0.0, None, None, "count", 1)}, runs)])
    figures = [
        plots.answers_over_time(one, [Window(0.5, None, "cut"), Window(0.7, 0.7, "broken")]),
        plots.distribution(one),
        plots.intervals(one, ["lost"]),
        plots.worlds(one, one),
    ]
    for figure in figures:
        assert style.png(drawn(figure)).startswith(b"\x89PNG")


def test_a_great_sweep_draws_its_first_panels() -> None:
    points = [
        Point(
            {"workers": n},
            {"lost": Estimate(float(n), 0.0, 2.0 * n, "count", 9)},
            [Replication(n, 0, 0, {}, timeline=[row(0.0, {"a": 1}), row(1.0, {"b": 1})])],
        )
        for n in range(100)
    ]
    result = Result("s", "virtual", "r", points)
    assert len(drawn(plots.answers_over_time(result)).axes) == plots.MOST_PANELS
    assert len(drawn(plots.intervals(result, ["lost"])).axes[0].get_yticks()) == plots.MOST_PANELS


def test_a_dollar_in_a_name_is_a_dollar() -> None:
    points = [
        Point({"routing": name}, {"lost": Estimate(1.0, 0.5, 1.5, "count", 9)})
        for name in ("costs $\\frac$ much", "_{x}")
    ]
    figure = drawn(plots.intervals(Result("s", "virtual", "r", points), ["lost"]))
    assert style.png(figure).startswith(b"\x89PNG")


def wide(result: Result) -> Result:
    """The same points again, as a sweep over two keys with eight points."""
    points = [
        dataclasses.replace(point, set=point.set | {"services.foo.workers": count})
        for point in result.points
        for count in range(4)
    ]
    return dataclasses.replace(result, points=points)


@pytest.mark.parametrize(
    "name",
    [
        "answers",
        "distribution",
        "intervals",
        "libraries",
        "worlds",
        "both",
        "answers, wide",
        "distribution, wide",
        "intervals, wide",
    ],
)
def test_no_text_is_clipped_or_lies_over_another(
    name: str, virtual: Result, real: Result, libraries: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = ["cross_site_share", "latency.p50", "latency.p99", "failover_time", "new-york:cross_site_share.during"]
    figure = drawn(
        {
            "answers": lambda: plots.answers_over_time(virtual, [WINDOW]),
            "distribution": lambda: plots.distribution(virtual),
            "intervals": lambda: plots.intervals(virtual, metrics),
            "libraries": lambda: plots.libraries(libraries),
            "worlds": lambda: plots.worlds(virtual, real),
            "both": lambda: plots.worlds_intervals(virtual, real, metrics),
            "answers, wide": lambda: plots.answers_over_time(wide(virtual), [WINDOW]),
            "distribution, wide": lambda: plots.distribution(wide(virtual)),
            "intervals, wide": lambda: plots.intervals(wide(virtual), metrics),
        }[name]()
    )
    boxes: list[tuple[str, Bbox]] = []
    draw = Text.draw

    def record(text: Text, *arguments: object, **named: object) -> None:
        draw(text, *arguments, **named)  # type: ignore[arg-type]
        if text.get_visible() and text.get_text().strip():
            boxes.append((text.get_text(), text.get_window_extent()))

    # What is drawn, not what exists: an axis keeps labels for ticks outside its view.
    monkeypatch.setattr(Text, "draw", record)
    style.png(figure)
    assert len(boxes) > 10
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert box.y1 <= figure.bbox.height, text
    for place, (text, box) in enumerate(boxes):
        for other, other_box in boxes[place + 1 :]:
            # The boxes leave room for letters that rise or hang further than these may.
            assert not box.shrunk(0.95, 0.8).overlaps(other_box.shrunk(0.95, 0.8)), (text, other)


def test_the_same_figure_gives_the_same_bytes_and_a_footer_makes_it_taller(virtual: Result) -> None:
    from PIL import Image

    plain = [style.png(drawn(plots.intervals(virtual, ["lost"]))) for _ in range(2)]
    assert plain[0] == plain[1]
    footed = style.png(drawn(plots.intervals(virtual, ["lost"])), "simulated, seed 7")
    sizes = [Image.open(io.BytesIO(data)).size for data in (plain[0], footed)]
    assert sizes[0][0] == sizes[1][0] == 1600
    assert sizes[1][1] > sizes[0][1]
