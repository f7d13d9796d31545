"""What all compact kinds of scenario share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from pydantic import Field

from workbench.scenario.schema import Compare, ExpectationField, Model, Name, Text, Version, Word


class Compact(Model):
    """A short way to write a family of scenarios. A kind adds its own keys and says what they stand for."""

    kind_name: ClassVar[str]

    version: Version = Field(description="Version of the format: 1.")
    kind: Word = Field(description="The kind of scenario.")
    name: Name = Field(
        description="Name of the scenario, in lower-case words joined by '-'; its results are kept under it."
    )
    question: Text = Field(default="", description="The question it answers, in a sentence.")
    extends: Word | None = Field(
        default=None, exclude=True, description="Another scenario file, relative to this one, that this one builds on."
    )
    compare: Compare = Field(default=Compare(), description="What the verdict compares.")
    expect: tuple[ExpectationField, ...] = Field(
        default=(), description="Assertions about the result; when one does not hold, the exit code is 1."
    )

    @abstractmethod
    def expand(self) -> dict[str, Any]:
        """The scenario in the normal form, as YAML would have it."""

    def head(self) -> dict[str, Any]:
        """The keys that the normal form has too, as YAML would have them."""
        kept = {"version", "name", "question", "compare", "expect"}
        return self.model_dump(mode="json", by_alias=True, include=kept, exclude_defaults=True)
