"""``civic config``: show every setting with its source, check what a service would read at its start, and write units
for systemd."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.command import command, given_options
from api.cli.failures import FAILED, described, detail_label
from api.cli.options import Home, Host, Port, Production
from api.cli.output import CommandResult, sentence, table
from api.terminal.language import say
from api.terminal.screen import lines
from languages.texts import N_, NP_
from ledger.visible import json_line

if TYPE_CHECKING:
    from api.operator.configuration import Finding
    from api.runtime.settings import Settings

_ORIGINS = {
    "option": NP_("origin", "option"),
    "environment": NP_("origin", "environment"),
    "home": NP_("origin", "home"),
    "default": NP_("origin", "default"),
}
_PARTS = {
    "settings": N_("the settings are valid"),
    "home": N_("the home is one of this version, and the settings agree with it"),
    "public-url": N_("the public address"),
    "files": N_("files and directories are readable and writable"),
    "keys": N_("the passphrase opens the keys"),
    "database": N_("the database answers and holds the log of this home"),
    "chain": N_("the chain answers and is the one of this home"),
    "retention": N_("the retention profile"),
    "timestamps": N_("the timestamp service and its certificates"),
}
_STATES = {
    "ok": NP_("check", "good"),
    "failed": NP_("check", "failed"),
    "not-checked": NP_("check", "not checked"),
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=say("The operator's settings."), no_args_is_help=True)
    app.add_typer(group, name="config")
    command(group, "show", "Every setting with its value and where it comes from; secrets are left out.")(
        show
    )
    command(
        group,
        "check",
        "Read what civic serve reads at its start, and name every fault with its next step. Changes nothing.",
    )(check)
    command(
        group,
        "units",
        "Write the systemd units of a service, a witness and the weekly check into a directory.",
    )(units)


def show(
    home: Home = Path("city"), host: Host = None, port: Port = None, production: Production = False
) -> CommandResult:
    from api.operator.configuration import shown_settings

    settings, options = _given(home, host, port, production)
    shown = shown_settings(settings, options)
    document = {
        "settings": [{"variable": one.variable, "value": one.value, "origin": one.origin} for one in shown]
    }
    rows = [(one.variable, _written(one.value), say(_ORIGINS[one.origin])) for one in shown]
    columns = [say("variable"), say("value"), say("from")]
    return table(document, say("Settings"), columns, rows)


def check(
    home: Home = Path("city"), host: Host = None, port: Port = None, production: Production = False
) -> CommandResult:
    from api.operator.configuration import Finding, check_configuration
    from api.runtime.settings import SettingsInvalid

    try:
        settings, _ = _given(home, host, port, production)
        findings = [Finding("settings", "ok"), *check_configuration(settings)]
    except SettingsInvalid as invalid:
        findings = [Finding("settings", "failed", invalid)]
    good = all(one.state == "ok" for one in findings)
    checks = [_document(one) for one in findings]
    told = [line for one in checks for line in _told(one)]
    return CommandResult({"good": good, "checks": checks}, lambda _: lines(*told), 0 if good else FAILED)


def units(
    to: Annotated[Path, typer.Argument(metavar="DIR", help=say("Directory for the unit files."))],
) -> CommandResult:
    from api.operator.units import write_units

    written = write_units(to, Path(sys.executable).with_name("civic"))
    return sentence(
        {"written": [str(path) for path in written]},
        *map(str, written),
        say("Next: docs/operations.md"),
    )


def _given(
    home: Path, host: str | None, port: int | None, production: bool
) -> tuple[Settings, frozenset[str]]:
    """The settings as ``civic serve`` would have them, and the names of those on the command line."""
    from api.runtime.settings import Settings

    options = given_options() & {"home", "host", "port", "production"}
    settings = Settings.given(
        home=home if "home" in options else None, host=host, port=port, production=production or None
    )
    return settings, options


def _written(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_line(value)


def _document(finding: Finding) -> dict[str, Any]:
    found: dict[str, Any] = {"part": finding.part, "state": finding.state}
    return found if finding.fault is None else found | described(finding.fault)


def _told(check: dict[str, Any]) -> list[str]:
    first = f"{say(_STATES[check['state']])}: {say(_PARTS[check['part']])}"
    if "code" not in check:
        return [first]
    told = [first, f"  {check['message']} [{check['code']}]"]
    if detail := check.get("detail"):
        told.append(f"  {detail_label(detail)}: {detail}")
    return [*told, f"  {say('next')}: {check['hint']}"] if check["hint"] else told
