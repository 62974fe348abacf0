"""Turns a function into a command: help in two languages, ``--json``, and a check for options without effect.

An option that cannot have an effect is an error (`refuse_unused`), so that the user does not rely on it.

A command is a function that returns a `CommandResult` and raises an error on failure; ``main`` prints both. It
imports slow modules inside the function, so that ``civic --help`` starts quickly.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

import typer

from api.cli.failures import UsageError
from api.cli.output import CommandResult, present
from api.terminal.language import say
from languages.texts import listed

F = TypeVar("F", bound=Callable[..., CommandResult])

_JSON = Annotated[
    bool,
    typer.Option("--json", help=say("Print one JSON object, for programs.")),
]
_LANG = Annotated[str, typer.Option("--lang", hidden=True)]
_context: ContextVar[typer.Context | None] = ContextVar("command", default=None)


def refuse_unused(because: str, *names: str) -> None:
    """Raise UsageError if one of these parameters is on the command line; ``because`` says why it has no effect."""
    context = _context.get()
    if context is None:
        return
    given = [_spelling(context, name) for name in names if _is_on_command_line(context, name)]
    if given:
        raise UsageError(
            say("{given} has no effect with {because}", given=listed(given), because=because),
            hint=say("leave one of them out"),
        )


def given_options() -> frozenset[str]:
    """The parameters that are on the command line, not those of the environment."""
    context = _context.get()
    return frozenset(
        name for name in (context.params if context else ()) if context and _is_on_command_line(context, name)
    )


def plain(function: Callable[..., None]) -> Callable[..., None]:
    """A command that prints its own output."""

    @functools.wraps(function)
    def run(ctx: typer.Context, **values: Any) -> None:
        _begin(ctx)
        values.pop("lang")
        function(**values)

    parameters = [
        inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own_parameters(function)),
        inspect.Parameter("lang", inspect.Parameter.KEYWORD_ONLY, default="", annotation=_LANG),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    del run.__wrapped__
    run.__doc__ = None
    return run


def _begin(context: typer.Context) -> None:
    """Start a command. The directory of ``civic --profile DIR COMMAND`` must be one that the command uses."""
    _context.set(context)
    outer = context.find_root().params.get("profile")
    if outer is None:
        return
    if "profile" not in context.params:
        raise UsageError(
            say("--profile has no effect with {command_path}", command_path=context.command_path),
            hint=say("leave it out"),
        )
    own = context.params["profile"]
    if own is not None and own != outer:
        raise UsageError(
            say("two profiles are named: {outer} and {own}", outer=outer, own=own),
            hint=say("leave one of them out"),
        )


def is_given(name: str) -> bool:
    """Whether the parameter of the running command is on the command line."""
    context = _context.get()
    return context is not None and _is_on_command_line(context, name)


def _is_on_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _spelling(context: typer.Context, name: str) -> str:
    found = next(one for one in context.command.params if one.name == name)
    return found.opts[0] if found.opts[0].startswith("-") else str(found.metavar or name.upper()).strip("[]")


def command(app: typer.Typer, name: str, text: str) -> Callable[[F], F]:
    """Register a function under a name, with its help (a text of the catalogue)."""

    def register(function: F) -> F:
        add_command(app, name, say(text), function, own_parameters(function))
        return function

    return register


def own_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function with their annotations evaluated."""
    return list(inspect.signature(function, eval_str=True).parameters.values())


def add_command(
    app: typer.Typer,
    name: str,
    text: str,
    function: Callable[..., CommandResult],
    parameters: Sequence[inspect.Parameter],
) -> None:
    """Register ``function`` with these parameters and ``--json``."""

    def run(ctx: typer.Context, **values: Any) -> None:
        _begin(ctx)
        as_json = bool(values.pop("as_json"))
        values.pop("lang")
        result = function(**values)
        present(result, as_json)
        if result.code:
            raise typer.Exit(result.code)

    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    common = [
        inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_JSON),
        inspect.Parameter("lang", inspect.Parameter.KEYWORD_ONLY, default="", annotation=_LANG),
    ]
    every = [context] + [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters] + common
    run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in every}
    run.__doc__ = None
    app.command(name, help=text, short_help=text)(run)
