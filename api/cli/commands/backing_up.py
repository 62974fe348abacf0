"""``civic backup`` and ``civic restore``: copies of a home, and a home from a copy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.command import command
from api.cli.long_checks import Progress
from api.cli.lost_acts import lost_act_words
from api.cli.options import Home
from api.cli.output import CommandResult
from api.terminal.language import say
from api.terminal.screen import lines
from ledger.counts import counted

if TYPE_CHECKING:
    from api.operator.backups.evidence import Evidence
    from api.operator.backups.restoring import Restored
    from api.operator.backups.taking import Taken

MEBIBYTE = 1 << 20


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(
        app,
        "backup",
        "Take a consistent backup of a home, also while its service runs; data files of the last backup are linked.",
    )(backup)
    command(
        app,
        "restore",
        "Make a home from a backup, after every file and the whole log were checked; says what was lost, and what to do.",
    )(restore)


def backup(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help=say("Directory of the backups; each gets a directory in it.")),
    ],
    home: Home = Path("city"),
) -> CommandResult:
    from time import monotonic

    from api.operator.backups.recovery import dump_command
    from api.operator.backups.taking import take_backup
    from api.runtime.settings import Settings

    began = monotonic()
    with ByteProgress(say("copying")) as progress:
        taken = take_backup(Settings.given(home=home), folder, progress)
    manifest = taken.manifest
    dump = dump_command(manifest.database_url, taken.path) if manifest.database_url else None
    document: dict[str, Any] = {
        "backup": str(taken.path),
        "manifest_sha256": taken.sha256,
        "taken_at": manifest.taken_at,
        "log": manifest.log,
        "chain": manifest.chain,
        "version": manifest.civic,
        "revision": manifest.revision,
        "files": len(manifest.files),
        "bytes": taken.size,
        "linked": taken.linked,
        "written": taken.written,
        "seconds": round(monotonic() - began, 3),
        "missing": ["database"] if dump else [],
        "dump": dump,
        "left_out": list(taken.left_out),
        "damaged": list(taken.damaged),
    }
    return CommandResult(document, lambda _: lines(*_taken_lines(taken, dump)))


def _taken_lines(taken: Taken, dump: str | None) -> list[str]:
    manifest = taken.manifest
    found = [
        say(
            "{path} is whole: {files}, {size} MiB; {linked} linked from the last backup, {written} MiB written.",
            path=taken.path,
            files=counted(len(manifest.files), "file"),
            size=_mebibytes(taken.size),
            linked=counted(taken.linked, "data file"),
            written=_mebibytes(taken.written),
        ),
        say("The SHA-256 of its manifest, to be kept elsewhere: {sha256}", sha256=taken.sha256),
    ]
    if manifest.log is not None:
        log = manifest.log
        found.append(
            say("The log ends with a head of size {size}, root {root}.", size=log["size"], root=log["root"])
        )
    if manifest.chain is not None:
        found.append(say("The chain ends with block {block}.", block=manifest.chain["block"]))
    if dump is not None:
        found += [
            say(
                "The database is not in it. Stop the service for a copy that fits to it, and back it up with:"
            ),
            f"  {dump}",
        ]
    if taken.left_out:
        found.append(say("Not in it: {names}", names=", ".join(taken.left_out)))
    for name in taken.damaged:
        found.append(say("{name} is not the file that its steward signed: civic audit fsck", name=name))
    return found


def restore(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help=say("A backup, or the directory of backups: then the one that goes furthest.")
        ),
    ],
    kept: Annotated[
        list[Path] | None,
        typer.Option(
            "--kept",
            metavar="FILE",
            help=say(
                "A head that somebody kept: from state/ of a profile, a receipt, or a file of civic heads export (repeat)."
            ),
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help=say("Check the backup in full beside the home's place, and keep nothing.")
        ),
    ] = False,
    home: Home = Path("city"),
) -> CommandResult:
    from api.operator.backups.restoring import restore_backup
    from api.runtime.settings import Settings

    with ByteProgress(say("copying and comparing digests")) as copying, Progress() as checking:
        done = restore_backup(
            Settings.given(home=home),
            folder,
            kept=kept or (),
            check=check,
            copied_so_far=copying,
            checked_so_far=checking,
        )
    document = _document(done, home, check)
    return CommandResult(document, lambda _: lines(*_restored_lines(done, document, check)))


def _document(done: Restored, home: Path, check: bool) -> dict[str, Any]:
    report, manifest = done.report, done.manifest
    return {
        "home": None if check else str(home),
        "backup": str(done.backup),
        "manifest_sha256": done.sha256,
        "taken_at": manifest.taken_at,
        "version": manifest.civic,
        "files": len(manifest.files),
        "bytes": done.size,
        "log": manifest.log,
        "chain": manifest.chain,
        "entries": None if report is None else report.report.entries,
        "openings_opened": done.opened,
        "damage": []
        if report is None
        else [{"code": one.code, "message": one.message, "entry": one.entry} for one in report.report.damage],
        "held": [] if report is None else report.held,
        "heads": [one.to_json() for one in done.heads],
        "lossy": bool(done.later),
        "lost": done.lost,
        "original": _original(done, home, check),
        "mark": None if done.mark is None else str(done.mark),
        "missing": ["database"] if manifest.database_url else [],
        "next": [] if check else _next(done, home),
    }


def _original(done: Restored, home: Path, check: bool) -> str | None:
    """The place of the home that was backed up, if there still is one and another was made."""
    place = Path(done.manifest.home)
    found = not check and (place / "civic.json").is_file() and place != home.resolve()
    return str(place) if found else None


def _next(done: Restored, home: Path) -> list[str]:
    """The commands to run next, in order."""
    import shlex

    from api.operator.backups.recovery import recovery_commands, undump_command

    here, report = shlex.quote(str(home)), done.report
    if report is None or report.head is None:
        load = undump_command(done.manifest.database_url, done.backup)
        return [load, f"civic audit fsck --home {here}", f"civic serve --home {here}"]
    if not done.later:
        return [f"civic serve --home {here}"]
    return recovery_commands(home, report.head, done.council, done.manifest.taken_at, done.lost)


def _restored_lines(done: Restored, document: dict[str, Any], check: bool) -> list[str]:
    manifest, report = done.manifest, done.report
    title = (
        say(
            "{backup}, taken {time}, can be restored; nothing was kept.",
            backup=done.backup,
            time=manifest.taken_at,
        )
        if check
        else say(
            "{home} is restored from {backup}, taken {time}.",
            home=document["home"],
            backup=done.backup,
            time=manifest.taken_at,
        )
    )
    found = [
        title,
        say(
            "{files}, {size} MiB: each has its digest. The SHA-256 of the manifest: {sha256}",
            files=counted(len(manifest.files), "file"),
            size=_mebibytes(done.size),
            sha256=done.sha256,
        ),
    ]
    if report is None:
        found.append(
            say(
                "The database is not in the backup: load it with PostgreSQL's own tools, then check the home."
            )
        )
    else:
        found.append(
            say(
                "The log holds from its first entry to its signed head: {entries}. Files, tables and chain were compared with it: {faults}.",
                entries=counted(report.report.entries, "entry", "entries"),
                faults=counted(len(report.report.damage), "fault"),
            )
        )
        found += [f"  {one.code}: {one.message}" for one in report.report.damage]
        found += [lost_act_words(one) for one in report.held]
        if not done.opened:
            found.append(
                say("The openings were counted and not opened: the passphrase of the keys was not given.")
            )
    found += _loss_lines(done)
    if document["original"] is not None:
        found.append(
            say(
                "The home that was backed up is still at {path}. Serve only one of the two: two services with one log key are two logs.",
                path=document["original"],
            )
        )
    if document["next"]:
        found += [say("Next:"), *(f"  {one}" for one in document["next"])]
    return found


def _loss_lines(done: Restored) -> list[str]:
    """Whether acknowledged entries are lost, and what becomes of acts, erasures and trust files then."""
    from api.operator.backups.evidence import OWN_MARK

    if done.report is None or done.report.head is None:
        return []
    size = done.report.head.size
    if not done.later:
        if any(one.source != OWN_MARK for one in done.heads):
            return [say("No head is known here that the restored log does not reach.")]
        return [
            say(
                "No head outside the backup is known here. Who kept one says with it whether entries are lost: civic restore --kept FILE"
            )
        ]
    first = done.later[0]
    return [
        say(
            "ENTRIES ARE LOST: the backup ends with entry {size}, and {source} has a head of size {later}. {lost} were acknowledged after the backup.",
            size=size,
            source=_source(first),
            later=first.size,
            lost=counted(done.lost, "entry", "entries"),
        ),
        say(
            "Look for a newer backup first. If there is none, no service starts on this home (audit.rollback) until the council has signed a new epoch."
        ),
        say(
            "Ask the auditors for a bundle that was made after the backup (BUNDLE; the word none if there is none): from it uses are counted again, acts are sent again, and what lost acts took away is held."
        ),
        say(
            "Erase again everybody whose erasure was ordered after {time}, before the service runs; civic audit epoch lists the orders that the bundle has.",
            time=done.manifest.taken_at,
        ),
        say(
            "Then give everybody the new trust.json, and let every department hand in its act files since {time}: civic submit FILE",
            time=done.manifest.taken_at,
        ),
    ]


def _source(one: Evidence) -> str:
    words = {"chain": say("the chain"), "backup": say("the mark in the backup")}
    return words.get(one.source, one.source)


def _mebibytes(size: int) -> str:
    return f"{size / MEBIBYTE:,.1f}"


class ByteProgress:
    """A progress bar over bytes on a terminal; nothing otherwise."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ByteProgress:
        if sys.stderr.isatty():
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
            from rich.progress import Progress as Bar

            from api.cli.output import console

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = Bar(*columns, console=console(error=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
