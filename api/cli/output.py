"""What a command says: one document for machines, and the same for people.

``--json`` prints exactly one JSON object on standard output. Without it, people get tables and sentences there.
Progress and notes go to standard error, so that output can always be piped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from api.cli.language import say

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 10_000

Show = Callable[["Console"], None]


@dataclass(frozen=True, slots=True)
class Said:
    """The outcome of a command: ``document`` for ``--json``, ``show`` for people, ``code`` for the shell."""

    document: Mapping[str, Any]
    show: Show | None = field(default=None, repr=False)
    code: int = 0


def present(said: Said, as_json: bool) -> None:
    """Print an outcome."""
    if as_json:
        print(json.dumps(said.document, ensure_ascii=False), flush=True)
    elif said.show is not None:
        said.show(console())


def console(*, error: bool = False) -> Console:
    """Where people read. Piped output is as wide as its lines are, so that nothing in it is cut or folded."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, soft_wrap=True, highlight=False, width=width)


def note(text: str) -> None:
    """A sentence on the side, which is no part of the output."""
    print(text, file=sys.stderr, flush=True)


def show(document: Mapping[str, Any], as_json: bool, title: str) -> None:
    """Print a document at once: as JSON, or as a title over its members."""
    present(facts(document, title, document.items()), as_json)


def sentence(document: Mapping[str, Any], *lines: str) -> Said:
    """An outcome that is said in a few sentences."""

    def tell(out: Console) -> None:
        for line in lines:
            out.print(_plain(line))

    return Said(document, tell)


def facts(document: Mapping[str, Any], title: str, pairs: Iterable[tuple[str, object]]) -> Said:
    """An outcome that is a list of named facts; empty ones are left out."""
    kept = [(name, _cell(value)) for name, value in pairs if value not in (None, "", [], {})]

    def tell(out: Console) -> None:
        from rich.cells import cell_len
        from rich.text import Text

        if title:
            out.print(_styled(title, "bold"))
        width = max((cell_len(name) for name, _ in kept), default=0)
        for name, value in kept:
            padding = " " * (width - cell_len(name) + 2)
            out.print(Text.assemble((_visible(name), "cyan"), padding, _visible(value)))

    return Said(document, tell)


def table(
    document: Mapping[str, Any], title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> Said:
    """An outcome that is a table; an empty one says so."""
    kept = [[_cell(value) for value in row] for row in rows]

    def tell(out: Console) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        if not kept:
            out.print(_plain(f"{title}: " + say("nothing", "无")))
            return
        drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for column in columns:
            drawn.add_column(column, overflow="fold")
        for row in kept:
            drawn.add_row(*(_plain(value) for value in row))
        out.print(_styled(title, "bold"))
        out.print(drawn, soft_wrap=False)

    return Said(document, tell)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return say("yes", "是") if value else say("no", "否")
        case list() | tuple() | set() | frozenset():
            return ", ".join(_cell(item) for item in value)
        case dict():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def _plain(text: str) -> Any:
    """Text whose square brackets are no markup: it may come from elsewhere."""
    from rich.text import Text

    return Text(_visible(text))


def _styled(text: str, style: str) -> Any:
    from rich.text import Text

    return Text(_visible(text), style=style)


def _visible(text: str) -> str:
    """Without control characters: what another department wrote must not steer this terminal."""
    return "".join(c if c in "\n\t" or c.isprintable() else "�" for c in text)
