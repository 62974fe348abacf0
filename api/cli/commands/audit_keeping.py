"""``civic audit fsck | erase | rotate-vault | publish | epoch``: commands of the log's operator.

All of them use the home directory. All except fsck need the service stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.failures import FAILED
from api.cli.lost_acts import lost_act_words, undecided_words
from api.cli.options import Home
from api.cli.output import CommandResult, facts, note, sentence, table
from api.terminal.language import say
from ledger.counts import counted


def register_keeping(group: typer.Typer) -> None:
    """Add fsck, erase, rotate-vault, publish and epoch to ``civic audit``."""
    command(
        group, "fsck", "Check the stored log from end to end and hash every data file, for their keeper."
    )(fsck)
    command(
        group,
        "erase",
        "Erase what the log holds in the clear about one person; every proof still holds. Service stopped.",
    )(erase)
    command(
        group,
        "rotate-vault",
        "Wrap the keys of all openings under a new secret and destroy the old one; erase does it too. Service stopped.",
    )(rotate)
    command(group, "publish", "Write the log as static tiles for a web server, or as CSV or Parquet.")(
        publish
    )
    command(
        group,
        "epoch",
        "Continue the log after a loss, by a NewEpoch act that the council signed. Service stopped.",
    )(epoch)


def publish(
    to: Annotated[Path, typer.Option("--to", help=say("Directory or file to write."))],
    form: Annotated[str, typer.Option("--form", help=say("tiles, csv or parquet."))] = "tiles",
    home: Home = Path("city"),
) -> CommandResult:
    from api.cli.failures import UsageError
    from api.operator.homes import at_home, open_database
    from api.operator.installation import log_key_of
    from api.runtime.settings import Settings
    from ledger.audit.keeping.export import export_csv, export_parquet, export_tiles
    from ledger.audit.log.reading import LogReader

    writers: dict[str, Any] = {"tiles": export_tiles, "csv": export_csv, "parquet": export_parquet}
    if form not in writers:
        raise UsageError(say("tiles, csv or parquet"), hint="--form tiles")
    found, settings = at_home(Settings.given(home=home))
    engine = open_database(found, settings)
    try:
        log = LogReader(engine, keys=[log_key_of(found)])
        writers[form](log, to)
        size = log.size
    finally:
        engine.dispose()
    return sentence(
        {"path": str(to), "form": form, "entries": size},
        say("{entries} written to {to}.", entries=counted(size, "entry is", "entries are"), to=to),
    )


def fsck(home: Home = Path("city")) -> CommandResult:
    from api.operator.home_check import check_home
    from api.operator.homes import at_home
    from api.runtime.settings import Settings
    from ledger.chain.deployment import FIRST_EDITION

    found, settings = at_home(Settings.given(home=home))
    made = check_home(found, settings, vault_of(found, settings))
    report, head, files, held = made.report, made.head, made.files, made.held
    damage = [{"code": one.code, "message": one.message, "entry": one.entry} for one in report.damage]
    document = {
        "ok": report.ok,
        "entries": report.entries,
        "tiles": report.tiles,
        "files": files,
        "head": None if head is None else {"size": head.size, "root": "0x" + head.root.hex()},
        "damage": damage,
        "held": held,
        "edition": made.edition,
    }
    if made.edition == FIRST_EDITION:
        note(
            say(
                "The contracts are of the first edition: projection, acts and acceptances were not compared with the chain."
            )
        )
    for act in held:
        note(lost_act_words(act))
    if head is not None:
        root = head.root.hex()
        note(say("head: size {size}, root 0x{root}", size=head.size, root=root))
    if report.ok:
        words = say(
            "{entries} and {tiles} agree with each other and with the signed head; {files}; what the service keeps beside is what chain and log say.",
            entries=counted(report.entries, "entry", "entries"),
            tiles=counted(report.tiles, "tile"),
            files=counted(files, "data file is as it was signed", "data files are as they were signed"),
        )
        return sentence(document, words)
    result = table(
        document,
        say("Damage"),
        [say("entry"), say("code"), say("what")],
        [[one["entry"], one["code"], one["message"]] for one in damage],
    )
    return CommandResult(document, result.show, FAILED)


def vault_of(home: Any, settings: Any) -> Any:
    """The vault that decrypts openings. None without the passphrase: then openings are counted and not decrypted."""
    from api.operator.vault import read_vault
    from api.protocol.errors import ClientError
    from api.runtime.settings import read_passphrase
    from ledger.errors import LedgerError

    try:
        return read_vault(home.keys / "vault.json", read_passphrase(settings)).openings()
    except (LedgerError, ClientError, OSError):
        note(say("The key of the openings is not at hand: they are counted, and not opened."))
        return None


def erase(
    asset: Annotated[str, typer.Option(help=say("Dataset, such as 7.1."))],
    subject: Annotated[str, typer.Option(help=say("The person's key in that dataset."))],
    officer: Annotated[str, typer.Option(help=say("Address of the officer who ordered it."))],
    home: Home = Path("city"),
) -> CommandResult:
    from api.calls.persons import subject_names_at
    from api.operator.vault import finish_rotation, request_rotation
    from api.operator.wiring import open_gateway
    from api.runtime.settings import Settings
    from ledger.audit.keeping.erasure import erase_subject
    from ledger.ids import parse_asset

    settings = Settings.given(home=home)
    try:
        with open_gateway(settings, chores=False) as gateway:
            with gateway.reading.connect() as connection:
                names = subject_names_at(connection, parse_asset(asset), subject)
            request_rotation(gateway.home)
            done = erase_subject(
                gateway.database.writer,
                gateway.database.engine,
                gateway.vault,
                *names,
                officer=officer,
                at=gateway.now(),
            )
            receipt = str(done.receipts[0])
    finally:
        finish_rotation(settings)
    document = {"erased": done.value, "receipt": receipt}
    return sentence(
        document,
        say(
            "{openings} gone; the entries and their proofs stand. Decisions about them: not replayable.",
            openings=counted(done.value, "opening is", "openings are"),
        ),
    )


def rotate(
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help=say(
                "After an older database was put back: delete the openings that the present secret does not open."
            ),
        ),
    ] = False,
    home: Home = Path("city"),
) -> CommandResult:
    from api.operator.vault import rotate_vault
    from api.runtime.settings import Settings

    gone = rotate_vault(Settings.given(home=home), forget=forget)
    return sentence(
        {"rotated": True, "forgotten": gone},
        say(
            "The vault has a new secret; the old one is destroyed here. Back up the home and the database together now."
        ),
    )


def epoch(
    act: Annotated[Path, typer.Option("--act", help=say("The signed NewEpoch act file."))],
    lost: Annotated[
        str,
        typer.Option(
            "--lost",
            metavar="BUNDLE|none",
            help=say(
                "A bundle that somebody took after the backup: the uses in it are counted again, and what its acts took away stays away. The word none: there is no copy."
            ),
        ),
    ],
    home: Home = Path("city"),
) -> CommandResult:
    from api.cli.json_input import read_object
    from api.operator.new_epoch import begin_epoch
    from api.runtime.settings import Settings

    document = read_object(act, "ACT")
    document.pop("request", None)
    made = begin_epoch(Settings.given(home=home), document, None if lost == "none" else Path(lost))
    _say_what_was_lost(made)
    if made["uncounted"]:
        note(
            say(
                "{entries} in no bundle here: uses in them count only as far as the chain has them on record, and what officers took away in them is in force again. Subjects erased after the backup must be erased again.",
                entries=counted(made["uncounted"], "lost entry is", "lost entries are"),
            )
        )
    plain = {
        name: value
        for name, value in made.items()
        if name not in ("acts", "undecided", "erase_again", "alive_again", "set_aside")
    }
    return facts(made, say("The log continues under a new origin."), plain.items())


def _say_what_was_lost(made: dict[str, Any]) -> None:
    alive = made.get("alive_again")
    if alive is not None:
        note(
            say(
                "No copy of the lost entries was given. {grants}, {keys} and {seats} are again as of {since}: what was revoked, removed or suspended after that is in force again. Ask every department to sign those acts again.",
                grants=counted(alive["grants"], "grant"),
                keys=counted(alive["service_keys"], "service key"),
                seats=counted(alive["seats"], "seat"),
                since=alive["since"],
            )
        )
    for place in made["set_aside"]:
        note(
            say(
                "A later epoch of this log is lost as well; its high-water mark is now {place}. Keep it: it proves how far that epoch came.",
                place=place,
            )
        )
    for one in made["acts"]:
        note(lost_act_words(one))
    for one in made["undecided"]:
        note(undecided_words(one))
    for one in made["erase_again"]:
        note(
            say(
                "lost: an erasure of {time}, ordered by {officer}: erase the person again before serving",
                time=one["time"],
                officer=one["officer"],
            )
        )
