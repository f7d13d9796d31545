import json
import subprocess
from pathlib import Path

import pytest

from workbench.results import machine
from workbench.results.code import Code, code


def test_this_machine_is_described_and_fits_into_json() -> None:
    facts = machine.machine()
    assert facts.cores >= 1
    assert facts.cpu
    assert json.loads(json.dumps(facts.to_json()))["python"].startswith("CPython 3.")


def test_a_system_that_tells_nothing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_text", lambda path: "")
    facts = machine.machine()
    assert facts.governor is None
    assert facts.steal is None
    assert facts.cpu


def test_steal_is_the_share_of_time_between_two_readings() -> None:
    earlier, later = machine.CpuTimes(1000, 10), machine.CpuTimes(2000, 60)
    assert later.steal_since(earlier) == 0.05
    assert earlier.steal_since(earlier) == 0.0


def test_steal_is_the_eighth_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_text", lambda path: "cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    assert machine.cpu_times() == machine.CpuTimes(36, 8)


def test_versions_of_what_is_not_installed_are_left_out() -> None:
    found = machine.versions(["numpy", "no-such-library-anywhere"])
    assert "numpy" in found
    assert "no-such-library-anywhere" not in found


def repository(folder: Path) -> None:
    def git(*words: str) -> None:
        name = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(folder), *name, *words], check=True, capture_output=True)

    git("init")
    (folder / "__init__.py").write_text("a = 1\n")
    git("add", "__init__.py")
    git("commit", "-m", "one")


def test_a_clean_tree_is_its_commit(tmp_path: Path) -> None:
    repository(tmp_path)
    found = code(tmp_path)
    assert found.commit is not None
    assert (len(found.commit), found.dirty, found.changes) == (40, False, None)
    assert found.label == found.commit[:7]


def test_results_beside_it_are_no_code(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "kept.json").write_text("{}")
    assert not code(tmp_path).dirty
    (tmp_path / "scenario.yaml").write_text("")
    assert code(tmp_path).dirty


def test_two_dirty_trees_of_one_commit_are_told_apart(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "__init__.py").write_text("a = 2\n")
    one = code(tmp_path)
    (tmp_path / "__init__.py").write_text("a = 3\n")
    other = code(tmp_path)
    assert one.dirty
    assert one.label.endswith("-dirty")
    assert one.commit == other.commit
    assert one != other


def test_a_copy_inside_a_foreign_repository_is_not_its_commit(tmp_path: Path) -> None:
    repository(tmp_path)
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "__init__.py").write_text("")
    assert code(installed) == Code(None)
    assert code(installed).label == "nogit"


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code() == Code(None)
