"""``civic audit``: search the log, verify it, export it, and open it on chain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.command import command, refuse_unused
from api.cli.commands.audit_keeping import register_keeping
from api.cli.commands.audit_questions import register_questions
from api.cli.commands.audit_upkeep import register_upkeep
from api.cli.failures import FAILED, IN_PART, CommandError, UsageError
from api.cli.governing import Proposal, SigningSession, governing
from api.cli.long_checks import Bound, MostBytes, MostSeconds, Progress
from api.cli.options import Epoch, PassphraseFile, ProfileOption, Reason, ServiceKeyOption
from api.cli.output import CommandResult, facts
from api.terminal.language import language, say
from api.terminal.screen import lines

if TYPE_CHECKING:
    from ledger.audit.verify import Verdict

Trust = Annotated[
    Path | None,
    typer.Option(
        "--trust",
        help=say("Trust file from a second source; without it the verdict is 'self-consistent only'."),
        show_default=False,
    ),
]


Operator = Annotated[
    int,
    typer.Argument(
        metavar="NUMBER",
        help=say("Department whose attest key signs the heads."),
    ),
]
Quorum = Annotated[
    int,
    typer.Option(min=0, max=255, help=say("Witnesses on chain that a head needs.")),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("The audit log: search it, export it, check it."),
        no_args_is_help=True,
    )
    app.add_typer(group, name="audit")
    command(
        group,
        "verify",
        "Check a bundle offline: every entry is hashed again. Needs no server, no profile and no key.",
    )(verify)
    command(group, "export", "Fetch the whole log as a bundle, for the offline check.")(export)
    register_questions(group)
    governing(
        group, "open", "Open the log on the chain, once, so that its heads are anchored: the council signs."
    )(open_)
    governing(
        group,
        "new-epoch",
        "Draft the act by which the log goes on after a loss: the council signs; civic audit epoch carries it.",
        lives="P7D",
    )(new_epoch)
    receipts = typer.Typer(help=say("Receipts: one entry with its proof."), no_args_is_help=True)
    group.add_typer(receipts, name="receipt")
    register_keeping(group)
    register_upkeep(group)
    command(receipts, "get", "Fetch the receipt of an entry and keep it.")(receipt)
    command(receipts, "verify", "Check one receipt offline.")(verify_receipt)


def open_(
    session: SigningSession,
    operator: Operator,
    quorum: Quorum = 0,
    epoch: Epoch = None,
) -> Proposal:
    from api.sdk.drafts import draft_log_opening

    origin = str(session.profile.trust().document["origin"])
    council = session.epoch(epoch)
    return Proposal(draft_log_opening(origin, operator, quorum, epoch=council, deadline=session.deadline))


def new_epoch(
    session: SigningSession,
    operator: Operator,
    size: Annotated[
        int,
        typer.Option(
            min=0,
            help=say("Entries that are kept: civic audit fsck says how many there are."),
        ),
    ],
    root: Annotated[str, typer.Option(help=say("Root of the head at that size, in hex."))],
    reason: Reason,
    epoch: Annotated[
        int,
        typer.Option(min=1, help=say("Epoch of the council: the service is stopped.")),
    ],
    quorum: Quorum = 0,
) -> Proposal:
    from api.sdk.drafts import draft_new_epoch

    origin = str(session.profile.trust().document["origin"])
    draft = draft_new_epoch(
        origin, size, root, operator, quorum, reason=reason, epoch=epoch, deadline=session.deadline
    )
    return Proposal(draft, carried_by="civic audit epoch --act")


def verify(
    bundle: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE",
            help=say("Bundle (a directory or a file), a directory of static tiles, or the URL of one."),
        ),
    ],
    trust: Trust = None,
    kept: Annotated[
        list[Path] | None,
        typer.Option(
            "--kept",
            help=say(
                "A checkpoint that you kept, from state/ of a profile, or a receipt (repeat); needs --trust."
            ),
            show_default=False,
        ),
    ] = None,
    older: Annotated[
        Path | None,
        typer.Option(
            "--older",
            help=say("An earlier bundle of the same log: the later one must extend it."),
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            help=say(
                "Directory in which to keep what is fetched and how far the check came, so that it can go on later."
            ),
            show_default=False,
        ),
    ] = None,
    most_bytes: MostBytes = None,
    most_seconds: MostSeconds = None,
    profile: ProfileOption = None,
) -> CommandResult:
    import os

    from api.cli.tiles import is_tiles, is_url, tiles_at
    from api.cli.trust_files import with_kept_heads
    from ledger.audit.verify import Trust as LogTrust
    from ledger.audit.verify import compare_bundles, verify_bundle
    from ledger.audit.verify.receipts import is_receipt
    from ledger.audit.verify.tiles import verify_directory, verify_kept, verify_tiles

    if kept and trust is None:
        raise UsageError(
            say("a kept checkpoint is checked with the pinned log key"),
            hint="--trust FILE",
        )
    pinned = None if trust is None else with_kept_heads(LogTrust.load(trust), kept or ())
    if older is not None and is_tiles(bundle):
        raise UsageError(
            say("--older compares two bundles"),
            hint="civic audit verify NEWER --older EARLIER",
        )
    if not is_url(bundle):
        refuse_unused(say("a bundle that is no URL"), "profile", "most_bytes", "most_seconds")
    for named_path in (bundle, older):
        if named_path is not None and not is_url(str(named_path)) and not Path(named_path).exists():
            raise UsageError(
                say("there is no file or directory at {named_path}", named_path=named_path),
                hint="civic audit verify BUNDLE",
            )
    if not is_url(bundle) and is_receipt(Path(bundle)):
        raise UsageError(say("{bundle} is a receipt", bundle=bundle), hint="civic audit receipt verify FILE")
    record = None
    if resume is not None:
        resume.mkdir(parents=True, exist_ok=True)
        record = resume / "checked.json"
    named = os.environ.get("CIVIC_PROFILE")
    with Progress() as progress:
        if is_url(bundle):
            bound = Bound(progress, most_bytes, most_seconds)
            with tiles_at(bundle, profile or (Path(named) if named else None), bound) as fetch:
                if resume is None:
                    verdict = verify_tiles(fetch, pinned, bound)
                else:
                    verdict = verify_kept(resume, fetch, pinned, bound)
        elif is_tiles(bundle):
            verdict = verify_directory(Path(bundle), pinned, progress, resume=record)
        elif older is not None:
            verdict = compare_bundles(older, bundle, pinned, progress, resume=record)
        else:
            verdict = verify_bundle(bundle, pinned, progress, resume=record)
    return _verdict(verdict, Path(bundle))


def export(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help=say("Where the bundle goes; it must not exist."),
        ),
    ],
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    if out.exists():
        raise CommandError(
            say("there is a file at {out} already", out=out),
            code="file.exists",
            hint=say("choose another name"),
        )
    found = read_profile(profile)
    partial = out.with_name(f".{out.name}.part")
    try:
        with found.connect(Passphrases(passphrase_file), service_key) as civic:
            answer = civic.export(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    answer["path"] = str(out)
    return facts(
        answer,
        say("Exported; check it with: civic audit verify"),
        answer.items(),
    )


def receipt(
    index: Annotated[int, typer.Argument(metavar="NUMBER", min=0, help=say("Number of the entry."))],
    anchored: Annotated[
        bool,
        typer.Option(
            "--anchored",
            help=say("With the proof up to the block's header."),
        ),
    ] = False,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    found = read_profile(profile)
    with found.connect(Passphrases(passphrase_file), service_key) as civic:
        given = civic.receipt(index, anchored=anchored)
    document = {"index": given.index, "entry": given.event, "receipt": str(found.keep(given))}
    return facts(document, say("The receipt holds."), document.items())


def verify_receipt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=say("A .tlog-proof file."))],
    trust: Trust = None,
) -> CommandResult:
    from ledger.audit.verify.receipts import verify_receipt as check
    from ledger.audit.verify.trust import Trust as LogTrust
    from ledger.audit.verify.words import document
    from ledger.small_files import read_text

    try:
        text = read_text(file)
    except UnicodeDecodeError:
        text = ""
    verdict = check(text, None if trust is None else LogTrust.load(trust))
    return CommandResult(
        document(verdict), lambda _: lines(*verdict.lines(language())), 0 if verdict.ok else FAILED
    )


# -- inside ---------------------------------------------------------------------------------------------


def _verdict(verdict: Verdict, bundle: Path) -> CommandResult:
    from ledger.audit.verify.words import document, whole_lines

    code = 0 if verdict.whole else IN_PART if verdict.ok else FAILED
    shown = {"bundle": str(bundle)} | document(verdict)
    return CommandResult(shown, lambda _: lines(*whole_lines(verdict, language())), code)
