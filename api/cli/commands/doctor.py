"""``civic doctor``: examine an installation, and say what to do about each finding."""

from __future__ import annotations

from pathlib import Path

import typer

from api.cli.command import command
from api.cli.failures import FAILED
from api.cli.options import Home
from api.cli.output import CommandResult, note, sentence, table
from api.terminal.language import language, say
from languages.texts import in_language, translated


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(
        app,
        "doctor",
        "Examine an installation and say what to do: files, rights, clock, disk, chain, log, keys, acts. Nothing is changed.",
    )(doctor)


def doctor(home: Home = Path("city")) -> CommandResult:
    from api.http.problems import advice_for
    from api.operator.doctor import examine
    from api.runtime.settings import Settings

    found = examine(Settings.given(home=home))
    findings = []
    for one in found.findings:
        advice = advice_for(one.code)
        findings.append(
            {
                "code": one.code,
                "severity": one.severity,
                "detail": str(one.detail),
                "title": advice.title,
                "remedy": advice.next,
                "zh": {
                    "detail": in_language(one.detail, "zh"),
                    "title": translated(advice.title, "zh"),
                    "remedy": translated(advice.next, "zh"),
                },
            }
        )
    document = {"home": str(home), "ok": found.ok, **found.facts, "findings": findings}
    words = {"error": say("error"), "warning": say("warning"), "note": say("remark")}
    if not findings:
        return sentence(document, say("Everything that was examined is well."))
    if found.ok:
        note(say("Nothing needs care."))
    told = [one["zh"] if language() == "zh" else one for one in findings]
    rows = [
        [words[str(one["severity"])], one["code"], say_of["detail"], say_of["remedy"]]  # type: ignore[index]
        for one, say_of in zip(findings, told, strict=True)
    ]
    shown = table(document, say("Findings"), [say("kind"), say("code"), say("what"), say("what to do")], rows)
    return CommandResult(document, shown.show, 0 if found.ok else FAILED)
