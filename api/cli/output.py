"""The output of a command: one JSON document for programs, and tables and sentences for people.

``--json`` prints exactly one JSON object on standard output. Progress and notes are printed on standard error, so
that output can be piped. Text from other sources is made visible when it is printed (`api.terminal.screen`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from api.cli.labels import label
from api.terminal.language import language, say
from api.terminal.screen import json_out, lines, pieces, raw_stream, spelled, width_of
from ledger.counts import counted
from ledger.visible import json_line

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 10_000

Show = Callable[["Console"], None]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The outcome of a command: ``document`` for ``--json``, ``show`` for people, ``code`` for the shell."""

    document: Mapping[str, Any]
    show: Show | None = field(default=None, repr=False)
    code: int = 0


def present(shown: CommandResult, as_json: bool) -> None:
    """Print an outcome."""
    if as_json:
        json_out(shown.document)
    elif shown.show is not None:
        shown.show(console())


def console(*, error: bool = False) -> Console:
    """The console, for text that was made visible before. Piped output is as wide as its lines, so that nothing is
    cut or folded."""
    from rich.console import Console

    stream = raw_stream(sys.stderr if error else sys.stdout)
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, soft_wrap=True, highlight=False, width=width)


def note(text: str) -> None:
    """Print a remark on standard error; it is not part of the output."""
    lines(text, error=True)


def show(document: Mapping[str, Any], as_json: bool, title: str) -> None:
    """Print a document at once: as JSON, or as a title followed by its members."""
    present(facts(document, title, document.items()), as_json)


def _one_by_one(pairs: Iterable[tuple[str, object]]) -> Iterable[tuple[str, object]]:
    """The pairs; members of a nested object, and objects of a list, are lines of their own."""
    for name, value in pairs:
        if isinstance(value, Mapping):
            yield from _one_by_one((f"{name} {inner}", one) for inner, one in value.items())
        elif isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
            yield from ((name, _in_one_line(one)) for one in value)
        else:
            yield name, value


def _in_one_line(value: object) -> object:
    """An object of a list: its sentence in the reader's language, or its members in sequence."""
    if not isinstance(value, Mapping):
        return value
    if detail := value.get("detail"):
        shown = str(value.get("detail_zh") or detail) if language() == "zh" else str(detail)
        return f"{shown} [{code}]" if (code := value.get("code")) else shown
    return ", ".join(f"{label(name)} {_cell(one)}" for name, one in _one_by_one(value.items()))


def sentence(document: Mapping[str, Any], *sentences: str) -> CommandResult:
    """A result that consists of a few sentences."""
    return CommandResult(document, lambda _: lines(*sentences))


def facts(document: Mapping[str, Any], title: str, pairs: Iterable[tuple[str, object]]) -> CommandResult:
    """A result that is a list of named facts; empty facts are omitted."""
    kept = [
        (label(name), _cell(value)) for name, value in _one_by_one(pairs) if value not in (None, "", [], {})
    ]

    def tell(out: Console) -> None:
        from rich.cells import cell_len
        from rich.text import Text

        if title:
            out.print(_styled(title, "bold"))
        labels = [spelled(name, sys.stdout) for name, _ in kept]
        width = max(map(cell_len, labels), default=0)
        for name, (_, value) in zip(labels, kept, strict=True):
            padding = " " * (width - cell_len(name) + 2)
            out.print(Text.assemble((name, "cyan"), padding, _beside(spelled(value, sys.stdout), width + 2)))

    return CommandResult(document, tell)


def table(
    document: Mapping[str, Any], title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> CommandResult:
    """A result that is a table; an empty table is reported as empty."""
    kept = [[_cell(value) for value in row] for row in rows]

    def tell(out: Console) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        if not kept:
            out.print(_plain(f"{title}: " + say("nothing")))
            return
        drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for column in columns:
            drawn.add_column(_plain(column), overflow="fold")
        for row in kept:
            drawn.add_row(*(_plain(value) for value in row))
        out.print(_styled(title, "bold"))
        out.print(drawn, soft_wrap=False)

    return CommandResult(document, tell)


def witnessed(state: Mapping[str, Any]) -> str:
    """Whether the witnesses of the trust file have cosigned the log that was shown
    (`api.sdk.witnesses.Witnesses.state`)."""
    if not state["checked"]:
        return say("no witness checked")
    names = ", ".join(one["name"] for one in state["cosigned"]) or say("none")
    failing = "".join(f"; {name}: {why}" for name, why in state["problems"].items())
    return (
        say(
            "by {witness} in the last {max_age_s:g} min ({quorum} needed): {names}",
            witness=counted(len(state["cosigned"]), "witness", "witnesses"),
            max_age_s=state["max_age_s"] / 60,
            quorum=state["quorum"],
            names=names,
        )
        + failing
    )


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return say("yes") if value else say("no")
        case list() | tuple() | set() | frozenset():
            return ", ".join(_cell(item) for item in value)
        case dict():
            return json_line(value)
    return str(value)


def _plain(text: str) -> Any:
    """Text with its square brackets escaped, because it may come from another source and is not markup."""
    from rich.text import Text

    return Text(spelled(text, sys.stdout))


def _styled(text: str, style: str) -> Any:
    from rich.text import Text

    return Text(spelled(text, sys.stdout), style=style)


def _beside(value: str, indent: int) -> str:
    """A value that is indented on a terminal: none of its lines begins at the left edge."""
    width = width_of(sys.stdout)
    if width is None:
        return value
    return ("\n" + " " * indent).join(pieces(value, max(8, width - 1 - indent)))
