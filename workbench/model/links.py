"""How a run treats the links that a scenario declares."""

from workbench.results import Link
from workbench.scenario import LinkShape, Scenario


def modelled(scenario: Scenario) -> list[Link]:
    """In the virtual world every link is modelled, those within the sites, too."""
    return [Link(_name(*link.between), "modelled") for link in scenario.every_link] + [
        Link(f"within {site}", "modelled") for site in scenario.sites
    ]


def real(scenario: Scenario) -> list[Link]:
    """In the real world a link is shaped by a relay, or it is the machine's own loopback: then it is not applied."""
    between = [(_name(*link.between), link) for link in scenario.every_link]
    within = [(f"within {name}", site.within) for name, site in scenario.sites.items()]
    return [Link(name, "shaped" if is_shaped(link) else "not applied") for name, link in between + within]


def is_shaped(link: LinkShape) -> bool:
    """Is there anything that the loopback does not do by itself? It takes the default of 50 µs within a site anyway."""
    declared = link.delay if link.delay is not None else link.rtt
    return bool(declared or link.jitter or link.rate or link.loss)


def _name(one: str, other: str) -> str:
    return f"{one} – {other}"
