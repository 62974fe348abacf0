"""Progress of a long check, and the limit for a check over a network.

A server controls the stated length of its log, the speed of its answers and the length of its tiles. It can make a
long log of one repeated entry at no cost, so a check follows the stated length only up to a limit.
"""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from api.cli.failures import CommandError
from api.terminal.language import say
from api.terminal.screen import lines
from ledger.counts import counted

FEWEST_BYTES, BYTES_AN_ENTRY, MOST_BYTES = 64 << 20, 4096, 64 << 30
"""A check may fetch 64 MiB and 4 KiB for each entry, 64 GiB at most."""

FEWEST_S, S_AN_ENTRY, MOST_S = 600.0, 0.01, 86_400.0
"""It may take 10 minutes and a second for each 100 entries, a day at most."""

LEAST_AN_ENTRY = 34
"""The fewest bytes of an entry in tiles: its hash, and the length of an empty entry."""

SAID_EVERY_S = 60.0

MostBytes = Annotated[
    int | None,
    typer.Option(
        "--most-bytes",
        min=1,
        help=say("Bytes that a check of a URL may fetch (64 MiB and 4 KiB an entry, 64 GiB at most)."),
        show_default=False,
    ),
]
MostSeconds = Annotated[
    int | None,
    typer.Option(
        "--most-seconds",
        min=1,
        help=say("Seconds that a check of a URL may take (600, and 1 for 100 entries, a day at most)."),
        show_default=False,
    ),
]


class CheckTooLong(CommandError):
    """A check over a network reached its limit. This is no statement about the log."""

    code = "audit.too-long"


class Progress:
    """A progress bar on a terminal; otherwise a line on standard error each minute."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._said = time.monotonic()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.progress import Progress as Bar

            from api.cli.output import console

            self._bar = Bar(console=console(error=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(say("hashing every entry"), total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._said >= SAID_EVERY_S:
            self._said = time.monotonic()
            lines(
                say("{done} of {entries}", done=done, entries=counted(total, "entry", "entries")),
                error=True,
            )


class Bound:
    """The limit of a check, computed from the size in the checkpoint; it starts again when the check is repeated.

    It is called as the check's progress function, first with that size (``done`` is 0). Raises `CheckTooLong`, at
    the latest after one tile.
    """

    def __init__(self, shown: Progress, most_bytes: int | None, most_s: int | None) -> None:
        self._shown = shown
        self._given_bytes, self._given_s = most_bytes, most_s
        self._most_bytes, self._ends = FEWEST_BYTES, time.monotonic() + FEWEST_S
        self._bytes = self._tiles = self._total = 0

    def __call__(self, done: int, total: int) -> None:
        if not done:
            self._begin(total)
        self._shown(done, total)

    def _begin(self, total: int) -> None:
        self._bytes, self._tiles, self._total = 0, 0, total
        self._most_bytes = self._given_bytes or min(FEWEST_BYTES + BYTES_AN_ENTRY * total, MOST_BYTES)
        self._ends = time.monotonic() + (self._given_s or min(FEWEST_S + S_AN_ENTRY * total, MOST_S))
        if LEAST_AN_ENTRY * total > self._most_bytes:
            raise self._too_many()

    def left_s(self) -> float:
        """The remaining seconds."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise CheckTooLong(
                say(
                    "the check was ended: its time is over, and {entries} stated",
                    entries=counted(self._total, "entry is", "entries are"),
                ),
                hint=say(
                    "ask the log's keeper how long it is; allow more with --most-seconds, go on with --resume"
                ),
            )
        return left

    def took(self, path: str, count: int) -> None:
        """Count the bytes that were fetched for this path."""
        self._bytes += count
        if self._bytes > self._most_bytes:
            raise self._too_many()
        if path.startswith("tile/entries/"):
            self._tiles += 1
            from ledger.audit.verify.tiles import WIDTH

            self._shown(min(self._tiles * WIDTH, self._total), self._total)

    def _too_many(self) -> CheckTooLong:
        return CheckTooLong(
            say(
                "the check was ended: {entries} stated, more than {most_bytes} bytes in tiles",
                entries=counted(self._total, "entry is", "entries are"),
                most_bytes=self._most_bytes,
            ),
            hint=say(
                "ask the log's keeper how long it is; allow more with --most-bytes, go on with --resume"
            ),
        )
