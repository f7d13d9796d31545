import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from workbench.report import html, pictures
from workbench.report.setting import Setting
from workbench.results import Estimate, ExpectationResult, Link, Point, Replication, Result, Run, Verdict

HOSTILE = "<script>alert('x')</script>\"><img src=http://evil.example/x onerror=alert(1)>&amp;"


class Page(HTMLParser):
    """Every tag, attribute and run of text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


@pytest.fixture(scope="module")
def page(keep_in: Callable[..., Run], virtual: Result, real: Result, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("results")
    run = keep_in(virtual, root)
    keep_in(real, root)
    return html.write(run).read_text()


def test_the_page_answers_the_question_before_it_shows_anything(page: str, virtual: Result) -> None:
    text = Page(page).text.replace("\u00a0", " ")
    order = [
        "Does priority routing keep New York's requests out of London",
        virtual.verdicts[0].text,
        "lost == 0",
        "cross-site share, before the fault",
        "Who answered, over time.",
        "Simulated beside measured",
        "modelled",
        "sha256",
        "workbench run scenarios/priority-routing.yaml --seed 7",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_the_page_is_well_formed_and_every_tag_is_closed(page: str) -> None:
    assert Page(page).open == []
    assert page.startswith("<!doctype html>")


def test_the_page_fetches_nothing(page: str) -> None:
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert "link" not in parsed.tags
    assert "iframe" not in parsed.tags
    addresses = [value for _, name, value in parsed.attributes if name in {"src", "href", "srcset", "action"}]
    assert addresses
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert "url(" not in page
    assert "@import" not in page
    assert not [name for _, name, _ in parsed.attributes if name == "style" or name.startswith("on")]


def test_the_policy_allows_the_page_its_own_style_and_nothing_else(page: str) -> None:
    import base64
    import hashlib

    policy = next(
        value for tag, name, value in Page(page).attributes if tag == "meta" and value.startswith("default-src")
    )
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_expectations_say_in_words_whether_they_hold(page: str) -> None:
    assert '<li class="holds"><b>holds</b> <code>cross_site_share &lt; 1 % when routing = priority</code></li>' in page
    assert '<li class="fails"><b>fails</b> <code>lost == 0</code>: it is 3.40</li>' in page


def test_figures_are_in_the_page_and_in_the_folder(kept: Callable[..., Run], virtual: Result) -> None:
    run = kept(virtual)
    text = html.write(run, alone=True).read_text()
    names = sorted(path.name for path in (run.path / "figures").iterdir())
    assert names == ["answers-over-time.png", "latency.png", "metrics.png", "timeline.png"]
    assert Page(text).tags.count("img") == 4
    assert "Simulated beside measured" not in text


def test_each_picture_names_its_seed_or_machine(kept: Callable[..., Run], virtual: Result, real: Result) -> None:
    simulated, measured = kept(virtual), kept(real)
    line = pictures.provenance(simulated)
    assert line == f"simulated, seed 7, 20 replications a point · priority-routing/{simulated.name}"
    assert re.match(r"measured on .+, \d+ cores, seed 7, 3 replications a point", pictures.provenance(measured))


def test_a_real_run_says_which_links_were_shaped(kept: Callable[..., Run], real: Result) -> None:
    text = Page(html.write(kept(real)).read_text()).text
    assert "shaped" in text
    assert "not applied" in text
    assert "measured" in text


def test_a_comparison_of_libraries_gets_its_bars(kept: Callable[..., Run], libraries: Result) -> None:
    run = kept(libraries)
    text = html.write(run).read_text()
    names = sorted(path.name for path in (run.path / "figures").iterdir())
    assert names == ["libraries.png", "round-trip.png"]
    assert "pynng is not installed" in Page(text).text


def hostile() -> Result:
    value = Estimate(1.0, 0.5, 1.5, "count", 3)
    runs = [Replication(0, index, index, {HOSTILE: 1.0}, notes=[HOSTILE]) for index in range(3)]
    points = [Point({HOSTILE: HOSTILE}, {HOSTILE: value}, runs), Point({HOSTILE: "b"}, {HOSTILE: value}, runs)]
    return Result(
        "demo",
        "virtual",
        "",
        points,
        [Verdict(HOSTILE, HOSTILE, {}, {}, value)],
        [ExpectationResult(HOSTILE, False)],
        links=[Link(HOSTILE, HOSTILE)],
    )


def test_a_hostile_name_is_text_wherever_it_stands(kept: Callable[..., Run]) -> None:
    run = kept(hostile(), f"# {HOSTILE}\n")
    run = dataclasses_replaced(run)
    text = html.page(run, Setting(question=HOSTILE), [pictures.Picture("x", HOSTILE, b"")], run, [])
    parsed = Page(text)
    assert parsed.open == []
    assert "script" not in parsed.tags
    assert {value for tag, name, value in parsed.attributes if tag == "img" and name == "src"} == {
        "data:image/png;base64,"
    }
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    # question, caption, verdict, expectation, link and its state, note, table heads, table rows, command, machine
    assert parsed.text.count(HOSTILE) >= 10
    assert [value for _, name, value in parsed.attributes if name == "alt"] == [HOSTILE]


def dataclasses_replaced(run: Run) -> Run:
    """The run with a hostile manifest, as if somebody had edited the folder."""
    run.manifest = dataclasses.replace(
        run.manifest,
        command=("workbench", HOSTILE),
        versions={HOSTILE: HOSTILE},
        machine={"cpu": HOSTILE, "kernel": HOSTILE, "governor": HOSTILE, "load_average": None, "memory_bytes": HOSTILE},
    )
    return run


def test_the_whole_report_of_a_hostile_run_can_be_made(kept: Callable[..., Run]) -> None:
    run = kept(hostile())
    parsed = Page(html.write(run).read_text())
    assert "script" not in parsed.tags


def test_a_run_that_compared_nothing_says_so(kept: Callable[..., Run], virtual: Result) -> None:
    one = Result("demo", "virtual", "", [dataclasses.replace(virtual.points[0], set={})])
    text = Page(html.write(kept(one)).read_text()).text
    assert "Nothing was compared: one setting was run." in text
