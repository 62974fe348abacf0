"""The command ``civic`` for departments, officers, auditors and operators."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main

from access_policy.privacy.execution.private_memory import keep_memory_private
from api.cli.commands import (
    acts,
    audit,
    backing_up,
    conditions,
    config,
    council,
    data,
    datasets,
    departments,
    doctor,
    drafting,
    founding,
    grant_register,
    grants,
    heads,
    home,
    keys,
    operator,
    policy,
    profiles,
    requests,
    upgrading,
    vocabulary,
    witness,
)
from api.cli.environment import warn_of_unknown_settings
from api.cli.failures import FAILED, USAGE, detail_label, present_failure
from api.cli.help_pages import speak
from api.protocol.version import installed
from api.runtime.private_files import set_private_umask
from api.terminal.language import language, say
from api.terminal.screen import json_out, lines, screens
from languages.choice import holds_chinese

INTERRUPTED = 130


def application() -> typer.Typer:
    """The whole application, in the process's language."""
    app = typer.Typer(
        name="civic",
        help=say("Civic Ledger: the departments of a city share data under rules that everybody can check."),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": 100},
    )
    app.callback()(_options)
    founding.register(app)
    operator.register(app)
    home.register(app)
    config.register(app)
    witness.register(app)
    backing_up.register(app)
    upgrading.register(app)
    doctor.register(app)
    for module in (
        profiles,
        keys,
        acts,
        drafting,
        departments,
        council,
        datasets,
        requests,
        grants,
        grant_register,
        conditions,
        data,
        vocabulary,
        policy,
        audit,
        heads,
    ):
        module.register(app)
    return app


@cache
def root() -> Any:
    """The application as one command, built once in a process."""
    return speak(typer.main.get_command(application()))


def main(arguments: list[str] | None = None) -> int:
    """Run a command and answer its exit code: 0 done, 1 refused or failed, 2 not understood."""
    set_private_umask()
    keep_memory_private()
    with screens():
        return _run(sys.argv[1:] if arguments is None else arguments)


def _run(given: list[str]) -> int:
    as_json = "--json" in given
    warn_of_unknown_settings()
    try:
        code = root().main(args=given, prog_name="civic", standalone_mode=False)
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.TyperException as misunderstood:
        return _usage(misunderstood, as_json)
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except Exception as error:  # noqa: BLE001 - the one place where a failure becomes an answer
        return present_failure(error, as_json)
    return code if isinstance(code, int) else 0


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            help=say("Print the version."),
            callback=lambda v: _version(v),
        ),
    ] = False,
    lang: Annotated[
        str,
        typer.Option("--lang", metavar="en|zh", help=say("Language (or CIVIC_LANG).")),
    ] = "",
    profile: Annotated[
        Path | None,
        typer.Option("--profile", help=say("Profile directory (or CIVIC_PROFILE).")),
    ] = None,
) -> None:
    if profile is not None:
        import os

        os.environ["CIVIC_PROFILE"] = str(profile)


def _version(wanted: bool) -> None:
    if wanted:
        name, version = installed()
        lines(f"civic {version} ({name})")
        raise typer.Exit


def _usage(misunderstood: Any, as_json: bool) -> int:
    """An error of the command line itself."""
    code: int = getattr(misunderstood, "exit_code", USAGE)
    text = misunderstood.format_message() if hasattr(misunderstood, "format_message") else str(misunderstood)
    document = {"code": "usage", "message": text, "hint": "civic COMMAND --help"}
    if language() == "zh" and not holds_chinese(text):
        document |= {"message": say("the command line is wrong"), "detail": text}
    if as_json:
        json_out({"error": document})
        return code
    if context := getattr(misunderstood, "ctx", None):
        lines(*context.get_usage().splitlines(), error=True)
        lines(say("Try '{path} --help' for help.", path=context.command_path), "", error=True)
    lines(f"{say('Error: ')}{document['message']}", error=True)
    if detail := document.get("detail"):
        lines(f"  {detail_label(detail)}: {detail}", error=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
