"""Quantities: text to SI numbers and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.scenario.units import (
    BANDWIDTH,
    DURATION,
    FRACTION,
    KINDS,
    RATE,
    SIZE,
    Kind,
    QuantityError,
    nearest,
    parse,
    read,
    write,
)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5 ms", DURATION, 0.005),
        ("5ms", DURATION, 0.005),
        ("  1.5 s ", DURATION, 1.5),
        ("0.1 ms", DURATION, 1e-4),
        ("50 us", DURATION, 5e-5),
        ("50 µs", DURATION, 5e-5),
        ("50 \u03bcs", DURATION, 5e-5),
        ("7 ns", DURATION, 7e-9),
        ("2 min", DURATION, 120.0),
        ("1e3 ms", DURATION, 1.0),
        (".5 h", DURATION, 1800.0),
        ("64 B", SIZE, 64.0),
        ("1 KiB", SIZE, 1024.0),
        ("1 kB", SIZE, 1000.0),
        ("200/s", RATE, 200.0),
        ("200 /s", RATE, 200.0),
        ("3 / ms", RATE, 3000.0),
        ("6/min", RATE, 0.1),
        ("1 Gbit/s", BANDWIDTH, 1e9),
        ("0.1 %", FRACTION, 0.001),
        ("-0 s", DURATION, 0.0),
    ],
)
def test_a_quantity_is_read_exactly(text: str, kind: Kind, value: float) -> None:
    assert parse(text, kind) == value
    assert str(parse(text, kind)) == str(value), "not even the sign of zero differs"


@pytest.mark.parametrize(
    ("text", "kind", "message", "hint"),
    [
        ("5", DURATION, "'5' needs a unit, for example '5 ms'", ""),
        (5, DURATION, "'5' needs a unit, for example '5 ms'", ""),
        (2.5, RATE, "'2.5' needs a unit, for example '2.5/s'", ""),
        ("5 sec", DURATION, "unknown unit 'sec' for a duration", "did you mean 's'?"),
        ("5 MS", DURATION, "unknown unit 'MS' for a duration", "did you mean 'ms'?"),
        ("5 Mbps", BANDWIDTH, "unknown unit 'Mbps' for a bandwidth", "did you mean 'Mbit/s'?"),
        ("5 rps", RATE, "unknown unit 'rps' for a rate", "did you mean '/s'?"),
        ("ms", DURATION, "'ms' is not a duration; it begins with a number, for example '5 ms'", ""),
        ("", SIZE, "'' is not a size; it begins with a number, for example '64 B'", ""),
        ("-1 s", DURATION, "a duration cannot be negative: '-1 s'", ""),
        ("1e400 s", DURATION, "'1e400 s' is too much: a duration is at most 240 h", ""),
        ("101 %", FRACTION, "'101 %' is too much: a share is at most 100 %", ""),
        ("1 ms 2", DURATION, "'1 ms 2' goes on after the quantity", ""),
        ("1" * 61 + " s", DURATION, "'" + "1" * 59 + "…' has too many digits", ""),
        (True, DURATION, "expected a duration, for example '5 ms', not the truth value true", ""),
        (None, DURATION, "expected a duration, for example '5 ms', not nothing", ""),
        ([], DURATION, "expected a duration, for example '5 ms', not a list", ""),
        ("nan s", DURATION, "'nan s' is not a duration; it begins with a number, for example '5 ms'", ""),
        ("٣ s", DURATION, "'٣ s' is not a duration; it begins with a number, for example '5 ms'", ""),
    ],
)
def test_what_is_no_quantity_is_refused_with_a_sentence(text: object, kind: Kind, message: str, hint: str) -> None:
    with pytest.raises(QuantityError) as raised:
        parse(text, kind)
    assert (raised.value.message, raised.value.hint) == (message, hint)


def test_zero_is_refused_where_it_makes_no_sense() -> None:
    with pytest.raises(QuantityError, match="must be more than zero"):
        parse("0 s", DURATION, positive=True)


def test_the_guilty_part_is_known() -> None:
    with pytest.raises(QuantityError) as raised:
        parse("12 sec", DURATION)
    assert raised.value.span == (3, 6)


def test_reading_leaves_the_rest() -> None:
    assert read("1 ms to 3 ms", DURATION) == (0.001, " to 3 ms")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.076, DURATION, "76 ms"),
        (5e-5, DURATION, "50 µs"),
        (0.0, DURATION, "0 s"),
        (12.0, DURATION, "12 s"),
        (65536, SIZE, "64 KiB"),
        (64, SIZE, "64 B"),
        (1000.0, RATE, "1000/s"),
        (1e9, BANDWIDTH, "1 Gbit/s"),
        (0.001, FRACTION, "0.1 %"),
        (0.5, FRACTION, "50 %"),
    ],
)
def test_a_quantity_is_written_as_people_do(value: float, kind: Kind, text: str) -> None:
    assert write(value, kind) == text


@given(st.sampled_from(sorted(KINDS)), st.floats(0, 1))
def test_every_value_reads_back_as_the_same_float(name: str, share: float) -> None:
    kind = KINDS[name]
    value = share * kind.high
    assert parse(write(value, kind), kind) == value


@given(st.text(max_size=80), st.sampled_from(sorted(KINDS)))
def test_no_text_does_worse_than_a_quantity_error(text: str, name: str) -> None:
    try:
        value = parse(text, KINDS[name])
    except QuantityError:
        return
    assert KINDS[name].low <= value <= KINDS[name].high


def test_nearest_finds_the_meant_word_and_nothing_far_away() -> None:
    assert nearest("priorty", ["round-robin", "priority"]) == "priority"
    assert nearest("WORKERS", ["workers"]) == "workers"
    assert nearest("xyz", ["round-robin", "priority"]) == ""
