"""``--help`` in the reader's language: headings and marks that the library adds to the commands' own texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from api.terminal.language import say
from languages.texts import NP_, in_context

if TYPE_CHECKING:
    from typer._click.formatting import HelpFormatter
else:
    HelpFormatter = typer.Context.formatter_class

_WORDS = frozenset(
    {
        NP_("help", "Arguments"),
        NP_("help", "Options"),
        NP_("help", "Commands"),
        NP_("help", "Show this message and exit."),
    }
)


class _Page(HelpFormatter):
    """A help page whose headings and marks are texts of the catalogue."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, say("Usage: ") if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        super().write_heading(_in_words(heading))

    def write_dl(self, rows: Sequence[tuple[str, str]], *spacing: int, **spaces: int) -> None:
        super().write_dl([(name, _marked(_in_words(text))) for name, text in rows], *spacing, **spaces)


class _Context(typer.Context):
    formatter_class = _Page


def speak(command: Any) -> Any:
    """The command, with its help pages and those of its subcommands in the reader's language."""
    command.context_class = _Context
    for inner in getattr(command, "commands", {}).values():
        speak(inner)
    return command


def _in_words(text: str) -> str:
    own = in_context("help", text)
    return say(own) if own in _WORDS else text


def _marked(text: str) -> str:
    """A text with the library's additions in brackets: a default, and whether it is required."""
    said, bracket, marks = text.rpartition("[")
    if not bracket or not marks.endswith("]"):
        return text
    return said + bracket + "; ".join(map(_mark, marks[:-1].split("; "))) + "]"


def _mark(mark: str) -> str:
    if mark == "required":
        return say(NP_("help", "required"))
    default = mark.removeprefix("default: ")
    return mark if default == mark else say(NP_("help", "default: {value}"), value=default)
