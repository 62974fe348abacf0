"""The demo's output: chapters with progress, facts, refusals and checks, in the language of the command."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape

from api.terminal.language import say as spoken
from api.terminal.screen import raw_stream
from ledger.visible import visible


def say(text: str, /, **values: object) -> str:
    """The text in the process's language; values from a service or a file are escaped and cannot style the output."""
    return shown(spoken(text, **values))


def shown(text: str) -> str:
    """A text whose markup is escaped."""
    return escape(visible(text))


@dataclass(slots=True)
class Narrator:
    """Prints the demo on one console and keeps the results of its checks."""

    console: Console
    steps: int
    step: int = 0
    started: float = field(default_factory=time.monotonic)
    checks: list[dict[str, object]] = field(default_factory=list)

    @classmethod
    def for_output(cls, steps: int, *, as_json: bool) -> Narrator:
        """On standard output; on standard error if standard output is for JSON."""
        return cls(
            Console(file=raw_stream(sys.stderr if as_json else sys.stdout), highlight=False, soft_wrap=True),
            steps,
        )

    @contextmanager
    def chapter(self, text: str, /, **values: object) -> Iterator[None]:
        """A numbered chapter; its duration is printed at the end."""
        self.step += 1
        began = time.monotonic()
        self.console.print(f"\n[bold cyan]{self.step}/{self.steps}[/] [bold]{say(text, **values)}[/]")
        yield
        self.console.print(f"    [dim]{time.monotonic() - began:.1f} s[/]")

    def tell(self, text: str, /, **values: object) -> None:
        """A plain sentence."""
        self.console.print(f"    {say(text, **values)}")

    def permitted(self, text: str, /, **values: object) -> None:
        """A permitted operation."""
        self.console.print(f"    [green]{say('permitted')}[/]  {say(text, **values)}")

    def denied(self, who: str, code: str, why: str) -> None:
        """A refused operation and its reason."""
        self.console.print(
            f"    [red]{say('denied')}[/]     {shown(who)}: [yellow]{shown(code)}[/] - {shown(why)}"
        )

    def check(self, name: str, passed: bool, text: str, /, **values: object) -> None:
        """A check that was made, with its result."""
        self.checks.append({"name": name, "passed": passed})
        mark = "[green]✔[/]" if passed else "[bold red]✘[/]"
        self.console.print(f"    {mark} {say(text, **values)}")
