"""The HTTP status, the title and the next step of an error code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """Status, title and next step of a code, both texts of the catalogue (`languages.texts.translated`). Titles start with a
    capital letter; next steps are commands."""

    status: int
    title: str
    next: str
