from workbench.report.setting import Setting, Window, read, windows
from workbench.scenario.schema import FaultEvent

SCENARIO = """\
version: 1
name: demo
question: What then?
sites: {a: {}, b: {}}
links: [{between: [a, b], delay: 5 ms}]
services: {foo: {at: {a: 1, b: 1}, pattern: reply}}
workloads: {w: {at: a, to: foo, load: paced 10/s}}
faults:
  - {at: 2 s, for: 3 s, kill: foo@a}
  - {at: 4 s, cut: [a, b]}
run: {duration: 10 s}
"""


def test_a_setting_has_the_question_and_the_windows_of_the_faults() -> None:
    assert read(SCENARIO) == Setting(
        "What then?", (Window(2.0, 5.0, "foo at a down"), Window(4.0, None, "a – b cut")), ({},)
    )


def test_a_text_no_longer_understood_has_an_empty_setting() -> None:
    assert read("version: 99\n") == Setting()
    assert read("{") == Setting()


def test_each_kill_ends_with_the_restore_of_the_same_instances() -> None:
    a, b = (("foo", "a"),), (("foo", "b"), ("bar", "b"))
    events = [
        FaultEvent(1, "kill", a),
        FaultEvent(2, "kill", b),
        FaultEvent(3, "restore", b),
        FaultEvent(4, "restore", a),
        FaultEvent(5, "kill", a),
        FaultEvent(6, "break", link=("a", "b")),
    ]
    assert windows(events) == (
        Window(1, 4, "foo at a down"),
        Window(2, 3, "b down"),
        Window(5, None, "foo at a down"),
        Window(6, 6, "a – b broken"),
    )
