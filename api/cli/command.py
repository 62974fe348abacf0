"""How a function becomes a command: its help in two languages, and ``--json``.

A command is a plain function that answers what it has to say (`Said`); what goes wrong it raises, and ``main`` shows
it. Everything it needs that is slow to import it imports itself, so that ``civic --help`` stays quick.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer

from api.cli.language import say
from api.cli.output import Said, present

F = TypeVar("F", bound=Callable[..., Said])

_JSON = Annotated[
    bool,
    typer.Option(
        "--json", help=say("Print one JSON object, for programs.", "输出一个 JSON 对象，供程序读取。")
    ),
]
_LANG = Annotated[str, typer.Option("--lang", hidden=True)]


def command(app: typer.Typer, name: str, en: str, zh: str) -> Callable[[F], F]:
    """Register a function under a name, with its help in English and Chinese."""

    def register(function: F) -> F:
        add_command(app, name, say(en, zh), function, own_parameters(function))
        return function

    return register


def own_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function with their annotations evaluated."""
    return list(inspect.signature(function, eval_str=True).parameters.values())


def add_command(
    app: typer.Typer,
    name: str,
    text: str,
    function: Callable[..., Said],
    parameters: Sequence[inspect.Parameter],
) -> None:
    """Register ``function`` with these parameters and ``--json``."""

    def run(**values: Any) -> None:
        as_json = bool(values.pop("as_json"))
        values.pop("lang")
        said = function(**values)
        present(said, as_json)
        if said.code:
            raise typer.Exit(said.code)

    common = [
        inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_JSON),
        inspect.Parameter("lang", inspect.Parameter.KEYWORD_ONLY, default="", annotation=_LANG),
    ]
    every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters] + common
    run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in every}
    run.__doc__ = None
    app.command(name, help=text, short_help=text)(run)
