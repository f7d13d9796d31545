"""Behaviours from local files: ``behaviour: file.py:function`` in a scenario.

The function is ``async def function(host, peers, **options)``: `host` is its Host, `peers` what it needs to know of the
others (the addresses to dial or to listen at), `options` what the scenario says under ``options``. In the virtual world
a plain SimPy process function, a generator, will do as well.
"""

import hashlib
import importlib.util
import inspect
import sysconfig
import traceback
from collections.abc import Callable, Coroutine, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simpy

from workbench.engine.world import Host
from workbench.scenario import Problem, Scenario, ScenarioError

Custom = Callable[..., Coroutine[Any, Any, None] | Generator[Any, Any, None]]


@dataclass(frozen=True)
class Peers:
    """Where the others are. A service listens at `listen`; a workload dials each (address, priority) of `dials`."""

    listen: str | None = None
    dials: tuple[tuple[str, int], ...] = ()


class BehaviourFailed(Exception):
    """A behaviour of the user's has raised something.

    The text says which one, what it raised, on which host, at what time of the world, and where in the user's code.
    """


def load_behaviour(scenario: Scenario, reference: str) -> Custom:
    """Import the function that ``file.py:function`` names, its file relative to the scenario's folder.

    Raises ScenarioError, with the reason, if the file cannot be imported or the function is not one that can be
    played. Importing runs the file's own code.
    """
    name, _, function = reference.partition(":")
    path = (scenario.directory or Path.cwd()) / name
    spec = importlib.util.spec_from_file_location(f"behaviour_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise _refusal(reference, f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _refusal(reference, f"importing {path} failed: {error!r}") from error
    found = getattr(module, function, None)
    if found is None:
        has = ", ".join(sorted(key for key, value in vars(module).items() if inspect.isfunction(value))) or "none"
        raise _refusal(reference, f"{path} has no function {function!r}; it has: {has}")
    if not (inspect.iscoroutinefunction(found) or inspect.isgeneratorfunction(found)):
        raise _refusal(reference, f"{function} is neither a coroutine (async def) nor a SimPy process (a generator)")
    function_found: Custom = found
    return function_found


def start(custom: Custom, host: Host, peers: Peers, options: dict[str, Any]) -> Any:
    """Call a behaviour; what the call itself refuses is told as the scenario's mistake."""
    try:
        return custom(host, peers, **options)
    except TypeError as error:
        raise _refusal(custom.__name__, str(error)) from error


def fingerprints(scenarios: Iterable[Scenario]) -> dict[str, str]:
    """The SHA-256 of each file with behaviours, by its name in the scenario; with another text it is another run.

    Loads every behaviour, and raises ScenarioError if one cannot be played.
    """
    found: dict[str, str] = {}
    for scenario in scenarios:
        for reference in scenario.own_behaviours():
            load_behaviour(scenario, reference)
            name = reference.partition(":")[0]
            found[name] = hashlib.sha256(((scenario.directory or Path.cwd()) / name).read_bytes()).hexdigest()
    return found


def blame(error: BaseException) -> BehaviourFailed | None:
    """What the user is to be told if the failure came out of the user's code; None if it is our own."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((place for place, frame in enumerate(frames) if not _is_ours(frame.filename)), None)
    if first is None:
        return None
    behaviour = f"{Path(frames[first].filename).name}:{frames[first].name}"
    what = "".join(traceback.format_exception_only(error)).rstrip()
    where = "".join(traceback.format_list(frames[first:])).rstrip()
    return BehaviourFailed(f"behaviour {behaviour} failed: {what}\n{where}")


def _is_ours(file: str) -> bool:
    """Is it code of the workbench, of SimPy or of Python itself?"""
    return file.startswith("<") or any(Path(file).is_relative_to(folder) for folder in _OURS)


def _refusal(reference: str, why: str) -> ScenarioError:
    return ScenarioError([Problem(f"behaviour {reference}", 0, 0, why)])


_OURS = (Path(__file__).parents[1], Path(simpy.__file__).parent, Path(sysconfig.get_path("stdlib")))
