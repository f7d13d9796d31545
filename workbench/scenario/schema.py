"""The normal form of a scenario: sites, links, services, workloads, faults, run, sweep, expectations.

Frozen models. In YAML, keys are kebab-case and quantities are text with a unit; in the models they are SI numbers
(seconds, bytes, per second, bits per second, fractions). Validation takes the YAML form only: build a model from data
with `workbench.scenario.parse`, or with ``Scenario.model_validate``. ``scenario.model_dump(mode="json",
by_alias=True)`` gives the YAML form again.

The description of each field is what ``workbench explain`` prints and what editors show: it is the reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from workbench.scenario import distribution as _distribution
from workbench.scenario import load_shape as _load_shape
from workbench.scenario.distances import TABLES
from workbench.scenario.distribution import Distribution, parse_distribution
from workbench.scenario.expect import Expectation, metric_named, parse_expectation, same_value
from workbench.scenario.load_shape import Load, parse_load
from workbench.scenario.precision import Precision, parse_precision
from workbench.scenario.units import (
    BANDWIDTH,
    DURATION,
    FRACTION,
    SIZE,
    Kind,
    QuantityError,
    describe,
    nearest,
    parse,
    shown,
    write,
)

NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LONGEST_NAME = 40
MOST_VALUES = 1000
"""Values of one sweep axis."""
LARGEST_MESSAGE = (16 << 20) - 4
"""Bytes. A socket takes messages of 16 MiB by default, and four of them are the number of the request."""
BEHAVIOUR = re.compile(r"(?P<file>[^:\0]+\.py):(?P<function>[A-Za-z_]\w*)")
DELAY_WITHIN_A_SITE = 50e-6
"""One-way delay between two hosts of a site, in seconds, where the scenario says nothing."""


def refusal(error: QuantityError) -> PydanticCustomError:
    """An error of one of our grammars, as pydantic wants it; the loader turns it into a Problem."""
    told = {"message": error.message, "hint": error.hint, "allowed": error.allowed, "span": error.span}
    return PydanticCustomError("scenario", "{message}", told)


def _said(parser: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A parser of our own grammars as a validator."""

    def validate(value: Any) -> Any:
        try:
            return parser(value)
        except QuantityError as error:
            raise refusal(error) from None

    return validate


def _quantity(kind: Kind, *, positive: bool = False) -> Any:
    """The parts of an annotated type for a quantity."""
    title = kind.name.removeprefix("a ").capitalize()
    return (
        BeforeValidator(_said(lambda value: parse(value, kind, positive=positive))),
        PlainSerializer(lambda value: write(value, kind), return_type=str, when_used="json"),
        WithJsonSchema({"type": "string", "pattern": kind.pattern, "title": title, "examples": [kind.example]}),
    )


def _choice(what: str, *known: str) -> BeforeValidator:
    """One word of a few."""

    def validate(value: Any) -> Any:
        if isinstance(value, str) and value in known:
            return value
        if not isinstance(value, str):
            message, meant = f"expected {what}, not {describe(value)}", ""
        else:
            message, meant = (
                f"unknown {what.removeprefix('a ').removeprefix('the ')} {shown(value)}",
                nearest(value, known),
            )
        hint = f"did you mean '{meant}'?" if meant else ""
        raise refusal(QuantityError(message, hint=hint, allowed=", ".join(known)))

    return BeforeValidator(validate)


def count(what: str, low: int, high: int) -> tuple[BeforeValidator, WithJsonSchema]:
    """A whole number within a range."""

    def validate(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            hint = ""
            if isinstance(value, float) and value.is_integer() and low <= value <= high:
                hint = f"did you mean {int(value)}?"
            raise refusal(
                QuantityError(
                    f"expected {what}, a whole number from {low:,} to {high:,}, not {describe(value)}", hint=hint
                )
            )
        if not low <= value <= high:
            raise refusal(
                QuantityError(f"{what} is a whole number from {low:,} to {high:,}, not {shown(value, 40)[1:-1]}")
            )
        return value

    return BeforeValidator(validate), WithJsonSchema({"type": "integer", "minimum": low, "maximum": high})


def _factor(what: str, low: float, high: float) -> BeforeValidator:
    """A number within a range."""

    def validate(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise refusal(
                QuantityError(f"expected {what}, a number from {low:,.0f} to {high:,.0f}, not {describe(value)}")
            )
        return float(value)

    return BeforeValidator(validate)


def _whole_size(value: Any) -> int:
    size = parse(value, SIZE)
    if not size.is_integer():
        raise QuantityError(f"{shown(value)} is not a whole number of bytes")
    if size > LARGEST_MESSAGE:
        raise QuantityError(f"a message of {write(size, SIZE)} is too large; at most {LARGEST_MESSAGE:,} B fit")
    return int(size)


def _filled() -> tuple[AfterValidator, Any]:
    """A mapping with something in it; it may be empty in what is left of a scenario that is wrong (see the loader)."""

    def validate(value: Any, info: ValidationInfo) -> Any:
        if not value and not info.context:
            raise PydanticCustomError("too_short", "it is empty")
        return value

    return AfterValidator(validate), Field(json_schema_extra={"minProperties": 1})


def _name(value: str) -> str:
    if not NAME.fullmatch(value) or len(value) > LONGEST_NAME:
        fixed = "-".join(re.findall(r"[a-z0-9]+", value.lower()))[:LONGEST_NAME].strip("-")
        raise refusal(
            QuantityError(
                f"the name {shown(value)} is not lower-case words joined by '-' (a letter first, at most "
                f"{LONGEST_NAME} characters)",
                hint=f"did you mean '{fixed}'?" if NAME.fullmatch(fixed) else "",
            )
        )
    return value


def _behaviour(value: str) -> str:
    if not BEHAVIOUR.fullmatch(value):
        raise refusal(
            QuantityError(
                f"{shown(value)} does not name a Python function; it goes 'file.py:function', the file beside the "
                "scenario"
            )
        )
    return value


def _pair(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(isinstance(name, str) for name in value):
        given = f"a list of {len(value)}" if isinstance(value, list | tuple) and len(value) != 2 else describe(value)
        raise refusal(QuantityError(f"expected two sites, for example [new-york, london], not {given}"))
    return tuple(value)


def _one_or_more(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        given = "an empty list" if value == [] else describe(value)
        raise refusal(QuantityError(f"expected a site or a list of sites, not {given}"))
    return tuple(value)


def _values(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise refusal(QuantityError(f"expected a list of values to try, for example [1, 2, 4], not {describe(value)}"))
    if not value:
        raise refusal(QuantityError("a sweep needs at least one value"))
    if len(value) > MOST_VALUES:
        raise refusal(QuantityError(f"the sweep has {len(value):,} values; at most {MOST_VALUES:,} are allowed"))
    return tuple(value)


def filled_list(value: Any) -> Any:
    """A validator: a list with something in it and nothing twice."""
    if not isinstance(value, list | tuple) or not value:
        given = "an empty list" if isinstance(value, list | tuple) else describe(value)
        raise refusal(QuantityError(f"expected a list of at least one value, not {given}"))
    if len(value) > MOST_VALUES:
        raise refusal(QuantityError(f"the list has {len(value):,} values; at most {MOST_VALUES:,} are allowed"))
    for at, item in enumerate(value):
        if item in value[:at]:
            raise refusal(QuantityError(f"the list has {shown(item)} twice"))
    return tuple(value)


def _version(value: Any) -> Any:
    if value != 1 or isinstance(value, bool) or not isinstance(value, int):
        raise refusal(QuantityError(f"this workbench reads scenarios of version 1, not {describe(value)}"))
    return value


def _truth(value: Any) -> Any:
    if not isinstance(value, bool):
        meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).lower(), "")
        hint = f"did you mean {meant}?" if meant else ""
        raise refusal(QuantityError(f"expected true or false, not {describe(value)}", hint=hint))
    return value


def _text(longest: int) -> BeforeValidator:
    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            raise refusal(
                QuantityError(
                    f"expected a text, not {describe(value)}", hint=f'write "{value}"' if _simple(value) else ""
                )
            )
        if len(value) > longest:
            raise refusal(QuantityError(f"the text is {len(value):,} characters long; at most {longest:,} are allowed"))
        return value

    return BeforeValidator(validate)


def _simple(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _metric(value: Any) -> Any:
    if not isinstance(value, str):
        raise QuantityError(f"expected the name of a metric, for example 'latency.p99', not {describe(value)}")
    return str(metric_named(value))


def _warm_up(value: Any) -> Any:
    if isinstance(value, str) and value.strip() == "auto":
        return "auto"
    try:
        return parse(value, DURATION)
    except QuantityError as error:
        if error.hint or not isinstance(value, str) or not value.strip()[:1].isalpha():
            raise
        raise QuantityError(
            error.message, hint="'auto' lets the simulator find it", allowed=error.allowed, span=error.span
        ) from None


Duration = Annotated[float, *_quantity(DURATION)]
WarmUp = Annotated[
    float | Literal["auto"],
    PlainValidator(_said(_warm_up)),
    PlainSerializer(
        lambda value: value if value == "auto" else write(value, DURATION), return_type=str, when_used="json"
    ),
    WithJsonSchema(
        {"anyOf": [{"const": "auto"}, {"type": "string", "pattern": DURATION.pattern}], "examples": ["1 s", "auto"]}
    ),
]
PositiveDuration = Annotated[float, *_quantity(DURATION, positive=True)]
Bandwidth = Annotated[float, *_quantity(BANDWIDTH, positive=True)]
Share = Annotated[float, *_quantity(FRACTION)]
Size = Annotated[
    int,
    BeforeValidator(_said(_whole_size)),
    PlainSerializer(lambda value: write(value, SIZE), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": SIZE.pattern, "title": "Size", "examples": [SIZE.example]}),
]
Time = Annotated[
    Distribution,
    PlainValidator(_said(parse_distribution)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _distribution.PATTERN,
            "title": "Time",
            "description": "A duration, or a distribution of durations.",
            "examples": list(_distribution.GRAMMAR.values()),
        }
    ),
]
LoadField = Annotated[
    Load,
    PlainValidator(_said(parse_load)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": _load_shape.PATTERN, "title": "Load", "examples": list(_load_shape.GRAMMAR)},
    ),
]
ExpectationField = Annotated[
    Expectation,
    PlainValidator(_said(parse_expectation)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "title": "Expectation",
            "examples": ["lost == 0", "cross_site_share = 50 % ± 1 % when routing = round-robin"],
        }
    ),
]
PrecisionField = Annotated[
    Precision,
    PlainValidator(_said(parse_precision)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "title": "Precision", "examples": ["latency.mean ± 2 %"]}),
]
Version = Annotated[Literal[1], BeforeValidator(_version), WithJsonSchema({"type": "integer", "const": 1})]
Truth = Annotated[bool, BeforeValidator(_truth), WithJsonSchema({"type": "boolean"})]
Name = Annotated[
    str,
    _text(200),
    AfterValidator(_name),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$", "maxLength": LONGEST_NAME}),
]
Word = Annotated[str, _text(200), WithJsonSchema({"type": "string"})]
Text = Annotated[str, _text(4000), WithJsonSchema({"type": "string"})]
Behaviour = Annotated[
    str,
    _text(400),
    AfterValidator(_behaviour),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[^:]+\.py:[A-Za-z_]\w*$", "examples": ["behaviours/cache.py:serve"]}
    ),
]
_two_words: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
Pair = Annotated[tuple[str, str], BeforeValidator(_pair), WithJsonSchema(_two_words)]
Sites = Annotated[
    tuple[str, ...],
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Values = Annotated[tuple[Any, ...], BeforeValidator(_values), WithJsonSchema({"type": "array", "minItems": 1})]
MetricName = Annotated[
    str, BeforeValidator(_said(_metric)), WithJsonSchema({"type": "string", "examples": ["latency.p99"]})
]

RoutingPolicy = Literal["round-robin", "priority", "random", "least-outstanding", "power-of-two", "sticky"]
Routing = Annotated[RoutingPolicy, _choice("a routing policy", *get_args(RoutingPolicy))]
PatternName = Literal["reply", "collect", "survey", "subscribe"]
Pattern = Annotated[PatternName, _choice("a pattern", *get_args(PatternName))]
WhenFullName = Literal["block", "drop-new", "drop-old", "disconnect"]
WhenFull = Annotated[WhenFullName, _choice("a rule for full queues", *get_args(WhenFullName))]
LikeName = Literal["zeromq", "nng"]
Like = Annotated[LikeName, _choice("a library", *get_args(LikeName))]
IndexName = Literal["radix", "trie", "list"]
Index = Annotated[IndexName, _choice("an index of subscriptions", *get_args(IndexName))]
KeysName = Literal["random", "hierarchical", "pathological"]
Keys = Annotated[KeysName, _choice("a kind of keys", *get_args(KeysName))]
NetworkName = Literal["sockets", "none"]
Network = Annotated[NetworkName, _choice("a network", *get_args(NetworkName))]
BehavioursName = Literal["native", "zinc"]
Behaviours = Annotated[BehavioursName, _choice("a way to play", *get_args(BehavioursName))]
WorldName = Literal["virtual", "real"]
World = Annotated[WorldName, _choice("a world", "virtual", "real")]
LibraryName = Literal["ours", "ours-copied", "zeromq", "nng", "nanomsg", "tcp", "tcp-batched", "thrift", "grpc"]
Library = Annotated[LibraryName, _choice("a library", *get_args(LibraryName))]
PlacementName = Literal["unpinned", "one-core", "two-cores"]
Placement = Annotated[PlacementName, _choice("a placement", "unpinned", "one-core", "two-cores")]
ModeName = Literal["terminating", "steady-state"]
Mode = Annotated[ModeName, _choice("a mode", *get_args(ModeName))]
Action = Literal["kill", "restore", "cut", "heal", "break"]


class Model(BaseModel):
    """What all parts of a scenario share: immutable, closed to unknown keys, kebab-case in YAML."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=lambda name: name.strip("_").replace("_", "-")
    )

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of keys that say the same thing in different ways: setting one takes the others away."""

    @classmethod
    def spelled_out(cls, short: Any) -> dict[str, Any]:
        """The mapping that a short way of writing this part stands for."""
        del short
        return {}


class LinkShape(Model):
    """What a link does to messages. Links carry streams: jitter and loss become delay, order is kept."""

    exclusive = (("delay", "rtt"),)

    delay: Duration | None = Field(
        default=None,
        description="One-way delay; the virtual world takes less than 5 µs as 5 µs. Give either this or rtt.",
        examples=["38 ms"],
    )
    rtt: Duration | None = Field(
        default=None, description="Round trip: twice the one-way delay. Give either this or delay.", examples=["76 ms"]
    )
    jitter: Duration = Field(
        default=0.0,
        description="Mean of an exponentially distributed extra delay, drawn for each message and direction.",
        examples=["0.2 ms"],
    )
    rate: Bandwidth | None = Field(
        default=None, description="Bandwidth in each direction; unlimited when left out.", examples=["1 Gbit/s"]
    )
    loss: Share = Field(
        default=0.0,
        description="Share of the packets that is lost and sent again, which shows as delay. Less than 50 %.",
        examples=["0.1 %"],
    )

    @property
    def one_way(self) -> float:
        """The one-way delay in seconds, however it was given."""
        if self.rtt is not None:
            return self.rtt / 2
        return self.delay if self.delay is not None else DELAY_WITHIN_A_SITE

    @model_validator(mode="after")
    def _one_delay(self) -> LinkShape:
        if self.delay is not None and self.rtt is not None:
            raise refusal(QuantityError("a link has either 'delay' or 'rtt', not both"))
        if self.loss >= 0.5:
            raise refusal(QuantityError(f"a loss of {write(self.loss, FRACTION)} is no link; it must be below 50 %"))
        return self


class Site(Model):
    """A place where hosts stand close together, such as a data centre."""

    within: LinkShape = Field(
        default=LinkShape(), description="The link between two hosts of this site; its delay is 50 µs unless given."
    )

    @model_validator(mode="before")
    @classmethod
    def _nothing_said(cls, value: Any) -> Any:
        return {} if value is None else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _also(cls, core, handler, {"type": "null"})


class Link(LinkShape):
    """A link between two sites, the same in both directions."""

    between: Pair = Field(description="The two sites it joins.", examples=[["new-york", "london"]])

    @model_validator(mode="after")
    def _some_delay(self) -> Link:
        if self.delay is None and self.rtt is None:
            raise refusal(QuantityError("a link needs a 'delay' or an 'rtt'", hint="for example rtt: 76 ms"))
        return self


class Distances(Model):
    """Links between all sites, their round trips from a published table."""

    table: Annotated[Word, _choice("a table of distances", *TABLES)] = Field(
        description="ibm-2024: 10 regions of IBM Cloud, monthly averages of August and September 2024. aws-2023: 13 "
        "regions of AWS. Every site must have the name of a region; `links` say what is different."
    )
    jitter: Duration = Field(default=0.0, description="As in links, for all of them.", examples=["0.5 ms"])
    rate: Bandwidth | None = Field(default=None, description="As in links, for each of them.")
    loss: Share = Field(default=0.0, description="As in links, for all of them.")

    @classmethod
    def spelled_out(cls, short: Any) -> dict[str, Any]:
        """The table alone."""
        return {"table": short} if isinstance(short, str) else {}

    @model_validator(mode="before")
    @classmethod
    def _table_alone(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in TABLES:
            # Said here, where the text stands: what it is short for stands nowhere.
            meant = nearest(value, list(TABLES))
            hint = f"did you mean '{meant}'?" if meant else ""
            known = ", ".join(TABLES)
            raise refusal(QuantityError(f"unknown table of distances {shown(value)}", hint=hint, allowed=known))
        return {"table": value}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _also(cls, core, handler, {"type": "string", "enum": list(TABLES)})


class Subscriptions(Model):
    """So many subscriptions of one subscriber, whose room and times are measured."""

    topics: Annotated[int, *count("the number of topics", 1, 10_000_000)] = Field(
        description="How many different topics are subscribed to.", examples=[10_000]
    )
    keys: Keys = Field(
        default="random",
        description="random: 20 of 36 characters, as libzmq's benchmark has them. hierarchical: region, rack, host and "
        "metric, with beginnings in common. pathological: 64 bytes, each the least or the greatest there is, so "
        "that every branch is as wide as can be.",
    )
    index: Index = Field(
        default="radix",
        description="radix: what the engine's SUB sockets use. trie: a node for each byte, as ZeroMQ has it. list: one "
        "topic after the other, as NNG has it.",
    )


class Service(Model):
    """What answers requests (pattern reply) or takes messages in (pattern collect)."""

    at: dict[str, Annotated[int, *count("the number of instances", 1, 100_000)]] = Field(
        description="Where it runs: site -> number of instances, each on a host of its own.",
        examples=[{"new-york": 2}],
    )
    pattern: Pattern = Field(
        default="reply",
        description="reply: answers each request (REQ/REP). collect: takes messages and answers none (PIPELINE). "
        "survey: every instance answers each request (SURVEY), and it is complete when all have before its deadline. "
        "subscribe: every instance receives each message (PUB/SUB); a message counts once for each of them.",
    )
    workers: Annotated[int, *count("the number of workers", 1, 10_000)] = Field(
        default=1, description="How many requests one instance works on at the same time."
    )
    time: Time = Field(
        default=Distribution("constant", 0.0),
        description="How long a worker is busy with one request.",
        examples=["exponential 2 ms"],
    )
    queue: Annotated[int, *count("the length of the queue", 1, 10_000_000)] = Field(
        default=1000, description="How many messages may wait in one instance; beyond that senders are held back."
    )
    when_full: WhenFull = Field(
        default="block",
        description="What becomes of a message for a full queue. block: its sender is held back, or waits. drop-new: "
        "it is lost. drop-old: the one that has waited longest is. disconnect: the slow one loses its connection.",
    )
    like: Like | None = Field(
        default=None,
        description="Queues and rules of a library, in place of queue, when-full and the workload's send-queue; with "
        "pattern subscribe only. zeromq: 1000 at each end, drop-new. nng: 16 at the publisher and 128 at the "
        "subscriber, drop-old.",
    )
    to: Word | None = Field(
        default=None,
        description="Pattern collect only: the service that each message is handed on to when it has been worked on, "
        "as in a pipeline. A worker whose message is not taken there waits, and so holds back who sends to it.",
    )
    send_queue: Annotated[int, *count("the length of the queue", 1, 10_000_000)] = Field(
        default=1000,
        description="With to or breadth: how many messages may wait in one instance to be handed on, for each "
        "connection.",
    )
    straggler: Annotated[float, _factor("how many times as long a straggler takes", 0.0, 1e6)] = Field(
        default=1.0,
        description="The first instance takes so many times as long for its work as the others.",
        examples=[10],
    )
    breadth: Annotated[int, *count("the breadth of a tree", 1, 100_000)] | None = Field(
        default=None,
        description="Pattern subscribe only: the instances are a tree. The first receives from the publisher, and each "
        "hands on to so many others, which are its own; in the order of 'at'. Every instance counts each message.",
        examples=[8],
    )
    hand_on: Duration = Field(
        default=0.0,
        description="With breadth: how long an instance takes for each that it hands a message on to.",
        examples=["10 µs"],
    )
    patience: PositiveDuration | None = Field(
        default=None,
        description="Pattern subscribe only: who receives a message older than this kills itself, so that nobody "
        "takes stale data for fresh (the suicidal snail of the ZeroMQ guide).",
        examples=["1 s"],
    )
    subscriptions: Subscriptions | None = Field(
        default=None,
        description="Pattern subscribe only: what each subscriber asks for. What that takes is measured, and nothing "
        "is sent. Real world only.",
    )
    reply: Size = Field(default=64, description="Size of an answer, at most 16 MiB less 4 B.", examples=["64 B"])
    behaviour: Behaviour | None = Field(
        default=None,
        description="A Python function that takes the place of the declared service: 'file.py:function', beside "
        "the scenario. It goes: async def function(host, peers, **options).",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Free values, handed to the behaviour by name as they stand."
    )


@dataclass(frozen=True)
class Queues:
    """How many messages may wait at both ends of a connection, and what becomes of one more."""

    send: int
    receive: int
    when_full: WhenFullName


LIBRARY_QUEUES: dict[LikeName, Queues] = {"zeromq": Queues(1000, 1000, "drop-new"), "nng": Queues(16, 128, "drop-old")}
"""What libraries do for publishers and subscribers unless told otherwise: libzmq's high-water marks, NNG's buffers."""


class Workload(Model):
    """What asks: a group of clients that send to one service."""

    at: Sites = Field(
        description="The site, or the sites, its clients are in.", examples=["new-york", ["new-york", "london"]]
    )
    to: Word = Field(description="The service it sends to.")
    clients: Annotated[int, *count("the number of clients", 1, 100_000)] = Field(
        default=1, description="Number of clients at each of its sites; each is a host with one socket."
    )
    load: LoadField = Field(
        description="In what rhythm each client sends. poisson and paced: so many per second, answered or not; with "
        "'alone' also a percentage of what the library can do. bursty: "
        "poisson while on, silent while off, both exponentially long. trace: at the moments in a file beside the "
        "scenario, one a line. "
        "closed N: N requests under way, with a think time if given. flood: as fast as the socket takes messages; "
        "goes with a service of pattern collect."
    )
    size: Size = Field(default=64, description="Size of a request, at most 16 MiB less 4 B.", examples=["64 B"])
    timeout: PositiveDuration = Field(
        default=5.0, description="A request without an answer after this long is lost.", examples=["5 s"]
    )
    send_queue: Annotated[int, *count("the length of the queue", 1, 10_000_000)] = Field(
        default=1000, description="How many messages may wait at a client to be sent, for each connection."
    )
    deadline: PositiveDuration = Field(
        default=1.0,
        description="How long a survey takes answers; only with a service of pattern survey.",
        examples=["50 ms"],
    )
    resend: PositiveDuration = Field(
        default=60.0,
        description="A request without an answer is sent again after this long; at once when its connection breaks.",
        examples=["60 s"],
    )
    routing: Routing | None = Field(default=None, description="Overrides the scenario's routing for this workload.")
    alone: Truth = Field(
        default=False,
        description="Measured by itself: each such workload gets a run of its own, with fresh processes and only "
        "the service it sends to, so "
        "that it does not compete with the others. Workloads without it run together. Real world only.",
    )
    behaviour: Behaviour | None = Field(
        default=None,
        description="A Python function that takes the place of the declared clients: 'file.py:function', beside "
        "the scenario. It goes: async def function(host, peers, **options).",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Free values, handed to the behaviour by name as they stand."
    )


class Fault(Model):
    """Something that goes wrong, or is put right, at a given time."""

    exclusive = (("kill", "restore", "cut", "heal", "break"),)

    at: Duration = Field(
        description="When, counted from the start of the run (the warm-up included).", examples=["4 s"]
    )
    for_: PositiveDuration | None = Field(
        default=None,
        description="How long, after which it is restored or healed. Only with kill and cut.",
        examples=["4 s"],
    )
    kill: Word | None = Field(
        default=None,
        description="Stops instances as a crash would: 'service@site', or a site for every instance in it.",
        examples=["foo@new-york"],
    )
    unnoticed: Duration = Field(
        default=0.0,
        description="Only with kill: for so long nobody notices that they are gone, and what is sent to them is lost, "
        "as when a machine loses its power and peers have to find out. Virtual world only.",
        examples=["500 ms"],
    )
    restore: Word | None = Field(
        default=None, description="Starts again what an earlier kill with the same target stopped."
    )
    cut: Pair | None = Field(
        default=None,
        description="The link between two sites falls silent; connections stay, nothing passes. Silence alone makes "
        "no client fail over, not with priority routing either: until a connection is noticed to be dead, requests go "
        "on being sent on it. kill and break are noticed at once.",
    )
    heal: Pair | None = Field(default=None, description="Ends an earlier cut of the same link.")
    one_way: Truth = Field(
        default=False,
        description="Only with cut and heal: what the first site sends does not reach the second, but the second is "
        "still heard by the first. Virtual world only.",
    )
    break_: Pair | None = Field(
        default=None, description="Every connection over the link is closed once; they may be made again at once."
    )

    @property
    def action(self) -> Action:
        """Which of the five it is."""
        for action in ("kill", "restore", "cut", "heal"):
            if getattr(self, action) is not None:
                return action
        return "break"

    @property
    def target(self) -> str | tuple[str, str]:
        """What it hits: 'service@site' or a site, or the two sites of a link."""
        found: str | tuple[str, str] = getattr(self, "break_" if self.action == "break" else self.action)
        return found

    @model_validator(mode="after")
    def _one_action(self) -> Fault:
        actions = ("kill", "restore", "cut", "heal", "break")
        given = [action for action in actions if getattr(self, "break_" if action == "break" else action) is not None]
        if not given:
            raise refusal(QuantityError("a fault needs one of 'kill', 'restore', 'cut', 'heal', 'break'"))
        if len(given) > 1:
            raise refusal(
                QuantityError(f"a fault does one thing, not both '{given[0]}' and '{given[1]}'; write two faults")
            )
        if self.for_ is not None and given[0] not in ("kill", "cut"):
            raise refusal(QuantityError(f"'for' goes with 'kill' and 'cut' only, not with '{given[0]}'"))
        if self.unnoticed and given[0] != "kill":
            raise refusal(QuantityError(f"'unnoticed' goes with 'kill' only, not with '{given[0]}'"))
        if self.one_way and given[0] not in ("cut", "heal"):
            raise refusal(QuantityError(f"'one-way' goes with 'cut' and 'heal' only, not with '{given[0]}'"))
        return self


class Failure(Model):
    """Something that fails by chance, again and again, and is repaired."""

    exclusive = (("kill", "cut"),)

    mttf: Time = Field(
        description="How long it works until it fails; the mean time to failure, or a distribution.",
        examples=["exponential 30 s"],
    )
    mttr: Time = Field(
        description="How long the repair takes; the mean time to repair, or a distribution.",
        examples=["exponential 2 s"],
    )
    kill: Word | None = Field(
        default=None,
        description="What fails: 'service@site', or a site for every instance in it. All of it fails and is repaired "
        "together, as when a site loses its power.",
        examples=["foo@new-york"],
    )
    apart: Truth = Field(
        default=False,
        description="Only with kill: each instance fails and is repaired by itself, whatever the others do.",
    )
    unnoticed: Duration = Field(
        default=0.0, description="Only with kill: for so long nobody notices that they are gone.", examples=["500 ms"]
    )
    cut: Pair | None = Field(default=None, description="The link that fails: it falls silent.")
    one_way: Truth = Field(
        default=False, description="Only with cut: what the first site sends does not reach the second; the rest does."
    )

    @model_validator(mode="after")
    def _one_target(self) -> Failure:
        if (self.kill is None) == (self.cut is None):
            what = "one of 'kill' and 'cut'" if self.kill is None else "'kill' or 'cut', not both; write two failures"
            raise refusal(QuantityError(f"a failure needs {what}"))
        for key, given in (("apart", self.apart), ("unnoticed", bool(self.unnoticed))):
            if given and self.kill is None:
                raise refusal(QuantityError(f"'{key}' goes with 'kill' only, not with 'cut'"))
        if self.one_way and self.cut is None:
            raise refusal(QuantityError("'one-way' goes with 'cut' only, not with 'kill'"))
        for key, time in (("mttf", self.mttf), ("mttr", self.mttr)):
            if time.kind == "constant" and time.a <= 0:
                raise refusal(QuantityError(f"'{key}' is more than zero"))
        return self


class Replications(Model):
    """How often each point is run, by world. One number means both."""

    virtual: Annotated[int, *count("the number of replications", 1, 100_000)] = Field(
        default=10, description="In the virtual world."
    )
    real: Annotated[int, *count("the number of replications", 1, 1_000)] = Field(
        default=10, description="In the real world."
    )

    until: PrecisionField | None = Field(
        default=None,
        description="In the virtual world: goes on until the 95 % interval of this metric is as narrow at every point. "
        "A share is precise to points; everything else to a share of its value, or to a width.",
        examples=["latency.mean ± 2 %"],
    )
    most: Annotated[int, *count("the most replications", 1, 100_000)] = Field(
        default=1000, description="With until: the number of replications at which it is given up."
    )

    def in_world(self, world: str) -> int:
        """The number for one world."""
        return self.real if world == "real" else self.virtual

    @classmethod
    def spelled_out(cls, short: Any) -> dict[str, Any]:
        """One number, for both worlds."""
        return {"virtual": short, "real": short} if isinstance(short, int) else {}

    @model_validator(mode="before")
    @classmethod
    def _one_number(cls, value: Any) -> Any:
        if isinstance(value, dict | Replications):
            return value
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000:
            what = describe(value)
            raise refusal(
                QuantityError(
                    f"expected a number of replications from 1 to 1,000, or {{virtual: 20, real: 3}}, not {what}"
                )
            )
        return {"virtual": value, "real": value}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _also(cls, core, handler, {"type": "integer", "minimum": 1, "maximum": 1000})


class Handling(Model):
    """What it costs a program to handle messages."""

    wake: Duration = Field(
        default=0.0,
        description="Until a program that slept is awake. One that is busy need not be woken.",
        examples=["60 us"],
    )
    step: Duration = Field(
        default=0.0,
        description="To take up a message that has arrived, or work that has become due, and do what comes of it.",
        examples=["28 us"],
    )
    kib: Duration = Field(default=0.0, description="For each KiB of a message, at either end.", examples=["0.3 us"])

    @classmethod
    def spelled_out(cls, short: Any) -> dict[str, Any]:
        """The step alone."""
        return {} if isinstance(short, dict) else {"step": short}

    @model_validator(mode="before")
    @classmethod
    def _step_alone(cls, value: Any) -> Any:
        return value if isinstance(value, dict | Handling) else {"step": value}


class Run(Model):
    """How long, how often, from which seed, in which world."""

    duration: PositiveDuration = Field(
        description="Length of one replication, the warm-up included, in the world's own time.", examples=["12 s"]
    )
    warm_up: WarmUp = Field(
        default=0.0,
        description="The beginning of the run that is not measured: a time, or auto. With auto the simulator finds "
        "out, once for all points: five pilot runs of each are averaged over time, and the MSER-5 rule (White 1997) "
        "cuts off what makes the mean latency less certain rather than more. Virtual world only.",
        examples=["1 s", "auto"],
    )
    mode: Mode = Field(
        default="terminating",
        description="terminating: the question is about a run of this duration, as after a fault; runs are repeated, "
        "and intervals come from the replications. steady-state: the question is about the long run; each point is run "
        "once, the time after the warm-up is cut into batches, and intervals come from the means of the batches. "
        "Virtual world only.",
    )
    batches: Annotated[int, *count("the number of batches", 10, 1_000)] = Field(
        default=30,
        description="With mode steady-state: how many batches the run is cut into. Each should be so long that it does "
        "not remember the one before; where it does, the run says so.",
    )
    replications: Replications = Field(
        default=Replications(), description="How often each point is run: one number, or one for each world."
    )
    seed: Annotated[int, *count("the seed", 0, 2**53)] = Field(
        default=1, description="The same seed gives the same virtual run, bit for bit."
    )
    handling: Handling = Field(
        default=Handling(),
        description="Virtual world only: what it costs a site's program to handle messages, as 'workbench calibrate' "
        "measures it on this machine. All hosts of a site are then played by one program, as in the real world, which "
        "does one thing at a time. Nothing unless given; a time alone is the step.",
        examples=[{"wake": "40 us", "step": "28 us"}],
    )
    room: Size = Field(
        default=262_144,
        description="How many bytes a connection holds in each direction between the queues at its ends: what is on "
        "its way, and in the buffers of the operating system. In the real world buffers are set so that it is about "
        "that much.",
        examples=["256 KiB"],
    )
    world: World = Field(
        default="virtual",
        description="virtual: simulated, by the engine's own state machines. real: processes and sockets of this "
        "machine.",
    )

    @property
    def measured_from(self) -> float:
        """Where the warm-up ends, in seconds; 0 while that is to be found out."""
        return 0.0 if self.warm_up == "auto" else self.warm_up


class Compare(Model):
    """What the verdict compares."""

    path: Word | None = Field(
        default=None, description="The sweep path whose values are compared; the first one when left out."
    )
    baseline: Any = Field(
        default=None, description="The value the others are compared with; the first one when left out."
    )
    metrics: tuple[MetricName, ...] = Field(
        default=(), description="The metrics the verdict is about; the report chooses when left out."
    )


@dataclass(frozen=True)
class FaultEvent:
    """One thing that happens to the topology: a declared fault, or the end that its ``for`` implies."""

    at: float
    """Seconds from the start of the run."""
    action: Action
    instances: tuple[tuple[str, str], ...] = ()
    """(service, site) pairs that are killed or restored."""
    unnoticed: float = 0.0
    """How many seconds nobody notices a kill."""
    link: tuple[str, str] | None = None
    """The two sites whose link is cut, healed or broken."""
    one_way: bool = False
    """Of a cut or its end: only what the first of the two sends to the second."""


@dataclass(frozen=True)
class Comparison:
    """The comparison a scenario asks for, with nothing left to default."""

    path: str
    baseline: Any
    others: tuple[Any, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class _Origin:
    """Where a scenario was read. All origins are equal: they are no part of what a scenario says."""

    directory: Path | None = field(default=None, compare=False)


class Scenario(Model):
    """A question about a messaging topology, in full."""

    version: Version = Field(description="Version of the format: 1.")
    name: Name = Field(
        description="Name of the scenario, in lower-case words joined by '-'; its results are kept under it."
    )
    question: Text = Field(default="", description="The question it answers, in a sentence.")
    extends: Word | None = Field(
        default=None,
        exclude=True,
        description="Another scenario file, relative to this one, that this one builds on: mappings are merged, "
        "all else is replaced.",
    )
    sites: Annotated[dict[Name, Site], *_filled()] = Field(description="The places: name -> site.")
    links: tuple[Link, ...] = Field(
        default=(), description="The links between sites. Clients reach the sites theirs has a link to, and no others."
    )
    distances: Distances | None = Field(
        default=None,
        description="Lays a link between every two sites, with the round trip that a published table has for them.",
        examples=["ibm-2024"],
    )
    services: Annotated[dict[Name, Service], *_filled()] = Field(description="What answers: name -> service.")
    workloads: Annotated[dict[Name, Workload], *_filled()] = Field(description="What asks: name -> workload.")
    routing: Routing = Field(
        default="round-robin",
        description="How clients choose among the instances of a service. round-robin: all in turn. priority: "
        "those of the own site while one of them is there, then the site with the nearest link, and so on. "
        "random: any. least-outstanding: the one with the fewest requests of this client under way (without a network: "
        "of all clients). power-of-two: the less loaded of two that are drawn. sticky: always the same one for the "
        "same client.",
    )
    network: Network = Field(
        default="sockets",
        description="sockets: the engine's sockets over the links between the sites. none: a request is at once where "
        "it goes to, as in queueing theory; nothing but services, workers and queues takes time. Virtual world only.",
    )
    behaviours: Behaviours = Field(
        default="native",
        description="Who plays what is declared. native: the roles of this workbench. zinc: the applications, whole: "
        "a tree of subscribers is a Zinc tree in which each message is said, a service of one instance that replies is "
        "the root of a Zinc tree whose workers take tasks, and who answers surveys is found by a directory. Virtual "
        "world only.",
    )
    faults: tuple[Fault, ...] = Field(default=(), description="What goes wrong, and when.")
    failures: tuple[Failure, ...] = Field(
        default=(),
        description="What fails by chance: when, is drawn anew for each replication, and the same for every point of a "
        "sweep. Virtual world only.",
    )
    run: Run = Field(description="How long, how often, from which seed, in which world.")
    library: Library = Field(
        default="ours", description="The messaging library that is driven; anything but ours needs the real world."
    )
    placement: Placement = Field(
        default="unpinned",
        description="Where the processes of a real run may execute: unpinned, all on one core, or senders and "
        "receivers on two. The virtual "
        "world has no cores and ignores it.",
    )
    sweep: dict[str, Values] = Field(
        default_factory=dict,
        description="What is varied: the path of a key, as in --set, -> values. Several paths give every "
        "combination, at most 1000.",
        examples=[{"routing": ["round-robin", "priority"], "services.foo.workers": [2, 4]}],
    )
    compare: Compare = Field(default=Compare(), description="What the verdict compares.")
    expect: tuple[ExpectationField, ...] = Field(
        default=(), description="Assertions about the result; when one does not hold, the exit code is 1."
    )

    _origin: _Origin = PrivateAttr(default_factory=_Origin)

    @property
    def directory(self) -> Path | None:
        """The folder that behaviours are relative to; None for a scenario that was not read from a file."""
        return self._origin.directory

    def read_in(self, directory: Path | None) -> Scenario:
        """The same scenario, its behaviours relative to this folder."""
        copy = self.model_copy()
        copy._origin = _Origin(directory)
        return copy

    def link(self, one: str, other: str) -> LinkShape | None:
        """The link between two sites, or within one; None where there is none."""
        if one == other:
            return self.sites[one].within
        return self._links_by_ends.get(frozenset((one, other)))

    @property
    def every_link(self) -> tuple[Link, ...]:
        """The links declared, and those that the table of distances has for all other pairs of sites."""
        return tuple(self._links_by_ends.values())

    @cached_property
    def _links_by_ends(self) -> dict[frozenset[str], Link]:
        found: dict[frozenset[str], Link] = {}
        for link in self.links:
            found.setdefault(frozenset(link.between), link)
        if self.distances is None or self.network == "none":
            return found
        table, line = TABLES[self.distances.table], self.distances
        for one, other in combinations(self.sites, 2):
            rtt = table.rtt(one, other)
            if rtt is not None and frozenset((one, other)) not in found:
                found[frozenset((one, other))] = Link.model_construct(
                    between=(one, other), delay=None, rtt=rtt, jitter=line.jitter, rate=line.rate, loss=line.loss
                )
        return found

    def own_behaviours(self) -> list[str]:
        """The behaviours that it names, each once."""
        named = [service.behaviour for service in self.services.values()]
        named += [workload.behaviour for workload in self.workloads.values()]
        return list(dict.fromkeys(reference for reference in named if reference is not None))

    def queues(self, workload: Workload) -> Queues:
        """The queues between a workload's clients and its service."""
        return self._queues(workload.send_queue, self.services[workload.to])

    def queues_behind(self, service: Service) -> Queues:
        """The queues between a service that hands on, and whom it hands on to."""
        return self._queues(service.send_queue, service if service.to is None else self.services[service.to])

    @staticmethod
    def _queues(send: int, service: Service) -> Queues:
        if service.like is not None:
            return LIBRARY_QUEUES[service.like]
        return Queues(send, service.queue, service.when_full)

    def receivers(self, workload: Workload) -> int:
        """How many receive each message in the end: all who subscribe, else the one that the last stage gives it to."""
        service = self.services[workload.to]
        return sum(service.at.values()) if service.pattern in ("subscribe", "survey") else 1

    def stages(self, workload: Workload) -> list[str]:
        """The services that its messages go through, in order; one only, unless it hands on."""
        found: list[str] = []
        name: str | None = workload.to
        while name is not None and name in self.services and name not in found:
            found.append(name)
            name = self.services[name].to
        return found

    def fault_events(self) -> tuple[FaultEvent, ...]:
        """Everything that happens to the topology, in order of time; the ends that ``for`` implies are included."""
        events = []
        for fault in self.faults:
            instances, link = self.hit_by(fault.target)
            events.append(FaultEvent(fault.at, fault.action, instances, fault.unnoticed, link, fault.one_way))
            if fault.for_ is not None:
                end: Action = "restore" if fault.action == "kill" else "heal"
                events.append(FaultEvent(fault.at + fault.for_, end, instances, link=link, one_way=fault.one_way))
        # At the same instant an end comes before a beginning.
        return tuple(sorted(events, key=lambda event: (event.at, event.action not in ("restore", "heal"))))

    def comparison(self) -> Comparison | None:
        """What the verdict compares, defaults filled in; None without a sweep."""
        if not self.sweep:
            return None
        path = self.compare.path or next(iter(self.sweep))
        values = self.sweep[path]
        wanted = self.compare.baseline
        baseline = next((value for value in values if wanted is not None and same_value(value, wanted)), values[0])
        return Comparison(
            path, baseline, tuple(value for value in values if value is not baseline), self.compare.metrics
        )

    def hit_by(self, target: str | tuple[str, str]) -> tuple[tuple[tuple[str, str], ...], tuple[str, str] | None]:
        """The (service, site) pairs that a fault or failure of this target hits, or the two sites of a link."""
        if not isinstance(target, str):
            return (), target
        service, at, site = target.rpartition("@")
        if at:
            return ((service, site),), None
        return tuple((name, site) for name, inner in self.services.items() if site in inner.at), None


def _also(model: type[Model], core: CoreSchema, handler: GetJsonSchemaHandler, short: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a model that may also be written in a short way."""
    reference = handler(core)
    own = handler.resolve_ref_schema(reference)
    full = dict(own)
    own.clear()
    own.update(
        {"title": full.pop("title", model.__name__), "description": full.pop("description", ""), "anyOf": [short, full]}
    )
    return reference
