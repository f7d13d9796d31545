"""The one error of this package that is the user's to mend."""

from __future__ import annotations


class ResultError(ValueError):
    """A results folder that is not there, not whole, or not ours; the message says which and what to do."""
