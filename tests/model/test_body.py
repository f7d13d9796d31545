"""What the parts write into messages."""

import pytest

from workbench.model import body
from workbench.model.links import is_shaped, modelled, real
from workbench.scenario import parse


def test_a_request_and_its_reply() -> None:
    sequence = body.sequence_of(3, 7)
    asked = body.request(sequence, 64)
    assert len(asked) == 64
    assert asked[:8] == bytes([0, 0, 3, 0, 0, 0, 0, 7])
    answer = body.reply(asked, 41, 100)
    assert len(answer) == 100
    assert answer[:8] == asked[:8]
    assert body.replier(answer) == 41


def test_sizes_have_a_least() -> None:
    assert len(body.request(1, 0)) == 8
    assert len(body.reply(b"", 0, 0)) == 12


@pytest.mark.parametrize("answer", [b"", b"12345678", body.request(1, 64)])
def test_an_answer_of_another_make_names_nobody(answer: bytes) -> None:
    assert body.replier(answer) is None


def test_how_links_are_treated_is_said() -> None:
    scenario = parse(
        "{version: 1, name: links, sites: {one: , two: {within: {delay: 1 ms}}, three: },"
        "links: [{between: [one, two], rtt: 10 ms}, {between: [two, three], delay: 0 s}],"
        "services: {foo: {at: {one: 1}}}, workloads: {users: {at: one, to: foo, load: closed}}, run: {duration: 1 s}}"
    )
    assert {link.name: link.state for link in real(scenario)} == {
        "one – two": "shaped",
        "two – three": "not applied",
        "within one": "not applied",
        "within two": "shaped",
        "within three": "not applied",
    }
    assert {link.state for link in modelled(scenario)} == {"modelled"}
    assert len(modelled(scenario)) == 5
    assert [is_shaped(link) for link in scenario.links] == [True, False]
