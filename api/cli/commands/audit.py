"""``civic audit``: what happened, who can prove it, and whether the record holds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.command import command, refuse_unused
from api.cli.commands.audit_questions import register_questions
from api.cli.failures import FAILED, IN_PART, CommandError, UsageError
from api.cli.governing import Desk, Proposal, governing
from api.cli.language import say
from api.cli.log_keeper import register_keeping
from api.cli.log_upkeep import register_upkeep
from api.cli.options import PassphraseFile, ProfileOption, ServiceKeyOption
from api.cli.output import Said, facts
from api.cli.screen import lines

if TYPE_CHECKING:
    from ledger.audit.verify import Verdict

Trust = Annotated[
    Path | None,
    typer.Option(
        "--trust",
        help=say(
            "Trust file from a second source; without it the verdict is 'self-consistent only'.",
            "经第二途径取得的信任文件；缺省时结论仅为“自洽”。",
        ),
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("The audit log: search it, export it, check it.", "审计日志：检索、导出、核验。"),
        no_args_is_help=True,
    )
    app.add_typer(group, name="audit")
    command(
        group,
        "verify",
        "Check a bundle offline: every entry is hashed again. Needs no server, no profile and no key.",
        "离线核验导出包：逐条重算哈希。无需服务、配置与密钥。",
    )(verify)
    command(
        group,
        "export",
        "Fetch the whole log as a bundle, for the offline check.",
        "取得整个日志的导出包，供离线核验。",
    )(export)
    register_questions(group)
    governing(
        group,
        "open",
        "Open the log on the chain, once, so that its heads are anchored: the council signs.",
        "在链上开设日志（仅一次），此后日志头即可锚定：由理事会签署。",
    )(open_)
    receipts = typer.Typer(
        help=say("Receipts: one entry with its proof.", "回执：单个条目及其证明。"), no_args_is_help=True
    )
    group.add_typer(receipts, name="receipt")
    register_keeping(group)
    register_upkeep(group)
    command(receipts, "get", "Fetch the receipt of an entry and keep it.", "取得并保存某条目的回执。")(
        receipt
    )
    command(receipts, "verify", "Check one receipt offline.", "离线核验单个回执。")(verify_receipt)


def open_(
    desk: Desk,
    operator: Annotated[
        int,
        typer.Argument(
            metavar="NUMBER",
            help=say("Department whose attest key signs the heads.", "其证明密钥签署日志头的部门。"),
        ),
    ],
    quorum: Annotated[
        int,
        typer.Option(
            min=0, max=255, help=say("Witnesses on chain that a head needs.", "日志头在链上所需的见证人数。")
        ),
    ] = 0,
) -> Proposal:
    from api.sdk.drafts import draft_log_opening

    origin = str(desk.profile.trust().document["origin"])
    return Proposal(draft_log_opening(origin, operator, quorum, deadline=desk.deadline))


def verify(
    bundle: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE",
            help=say(
                "Bundle (a directory or a file), a directory of static tiles, or the URL of one.",
                "导出包（目录或文件）、静态瓦片目录或其网址。",
            ),
        ),
    ],
    trust: Trust = None,
    kept: Annotated[
        list[Path] | None,
        typer.Option(
            "--kept",
            help=say(
                "A checkpoint that you kept, from state/ of a profile, or a receipt (repeat); needs --trust.",
                "自己留存的检查点（配置的 state/ 中）或回执（可重复）；须同时给出 --trust。",
            ),
            show_default=False,
        ),
    ] = None,
    older: Annotated[
        Path | None,
        typer.Option(
            "--older",
            help=say(
                "An earlier bundle of the same log: the later one must extend it.",
                "同一日志的较早导出包：较新者须为其延续。",
            ),
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            help=say(
                "Directory in which to keep what is fetched and how far the check came, so that it can go on later.",
                "留存所取瓦片与核验进度的目录，以便续检。",
            ),
            show_default=False,
        ),
    ] = None,
    profile: ProfileOption = None,
) -> Said:
    import os

    from api.cli.tiles import is_tiles, is_url, tiles_at
    from api.cli.trust_files import log_trust, with_kept
    from ledger.audit.verify import compare_bundles, verify_bundle
    from ledger.audit.verify.tiles import verify_directory, verify_kept, verify_tiles

    if kept and trust is None:
        raise UsageError(
            say("a kept checkpoint is checked with the pinned log key", "留存的检查点须以固定的日志公钥核对"),
            hint="--trust FILE",
        )
    pinned = None if trust is None else with_kept(log_trust(trust), kept or ())
    if older is not None and is_tiles(bundle):
        raise UsageError(
            say("--older compares two bundles", "--older 仅用于比较两个导出包"),
            hint="civic audit verify NEWER --older EARLIER",
        )
    if not is_url(bundle):
        refuse_unused(say("a bundle that is no URL", "非网址的导出包"), "profile")
    record = None
    if resume is not None:
        resume.mkdir(parents=True, exist_ok=True)
        record = resume / "checked.json"
    named = os.environ.get("CIVIC_PROFILE")
    with _Progress() as progress:
        if is_url(bundle):
            with tiles_at(bundle, profile or (Path(named) if named else None)) as fetch:
                if resume is None:
                    verdict = verify_tiles(fetch, pinned, progress)
                else:
                    verdict = verify_kept(resume, fetch, pinned, progress)
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
            help=say("Where the bundle goes; it must not exist.", "导出包的去处（须不存在）。"),
        ),
    ],
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    if out.exists():
        raise CommandError(say(f"there is a file at {out} already", f"文件 {out} 已存在"), code="file.exists")
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
        say("Exported; check it with: civic audit verify", "已导出；核验命令：civic audit verify"),
        answer.items(),
    )


def receipt(
    index: Annotated[
        int, typer.Argument(metavar="NUMBER", min=0, help=say("Number of the entry.", "条目序号。"))
    ],
    anchored: Annotated[
        bool,
        typer.Option(
            "--anchored",
            help=say("With the proof up to the block's header.", "附至区块头的证明。"),
        ),
    ] = False,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    found = read_profile(profile)
    with found.connect(Passphrases(passphrase_file), service_key) as civic:
        given = civic.receipt(index, anchored=anchored)
    document = {"index": given.index, "entry": given.event, "receipt": str(found.keep(given))}
    return facts(document, say("The receipt holds.", "回执有效。"), document.items())


def verify_receipt(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=say("A .tlog-proof file.", ".tlog-proof 文件。"))
    ],
    trust: Trust = None,
) -> Said:
    from api.cli.trust_files import log_trust
    from ledger.audit.receipts import verify_receipt as check

    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        text = ""
    verdict = check(text, None if trust is None else log_trust(trust))
    document = {
        "verdict": verdict.word,
        "anchor": verdict.anchor,
        "index": verdict.index,
        "entry": verdict.event,
        "origin": verdict.origin,
        "size": verdict.size,
        "findings": [_finding(one) for one in verdict.findings],
        "held_elsewhere": list(verdict.held_elsewhere),
        "remarks": list(verdict.remarks),
    }
    return Said(document, lambda _: lines(*verdict.lines()), 0 if verdict.ok else FAILED)


# -- inside ---------------------------------------------------------------------------------------------


class _Progress:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Callable[[int, int], None]:
        if sys.stderr.isatty():
            from rich.progress import Progress

            from api.cli.output import console

            self._bar = Progress(console=console(error=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(say("hashing every entry", "逐条重算哈希"), total=None)
        return self._advance

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _advance(self, done: int, total: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)


def _verdict(verdict: Verdict, bundle: Path) -> Said:
    document = {
        "bundle": str(bundle),
        "verdict": verdict.word,
        "anchor": verdict.anchor,
        "timestamp": verdict.timestamp,
        "origin": verdict.origin,
        "size": verdict.size,
        "root": verdict.root.hex(),
        "leaves_hashed": verdict.leaves_hashed,
        "archived": verdict.first_entry,
        "findings": [_finding(one) for one in verdict.findings],
        "held_elsewhere": list(verdict.held_elsewhere),
        "remarks": list(verdict.remarks),
    }
    code = 0 if verdict.whole else IN_PART if verdict.ok else FAILED
    return Said(document, lambda _: lines(*_words(verdict)), code)


def _words(verdict: Verdict) -> list[str]:
    """The verdict's own lines under a headline in the command's language, which claims no more than they do."""
    headline = {
        "verified": say("Verified against the trust file.", "已对照信任文件核验。"),
        "verified in part": say(
            f"Verified against the trust file from entry {verdict.first_entry} on; the {verdict.first_entry} entries before are archived and were NOT re-hashed.",
            f"自条目 {verdict.first_entry} 起已对照信任文件核验；此前的 {verdict.first_entry} 个条目已归档，未重算哈希。",
        ),
        "self-consistent only": say(
            "Self-consistent only: nothing contradicts itself, and an operator who rebuilt everything would reach that too. Check again with --trust.",
            "仅自洽：内部无矛盾，但重建全部内容的运营方同样可以做到。请使用 --trust 再次核验。",
        ),
        "failed": say("FAILED: this is not the record that was signed.", "核验失败：这不是当初签名的记录。"),
    }
    wrong = [finding.entry for finding in verdict.findings if finding.entry is not None]
    first = [say(f"First wrong entry: {min(wrong)}", f"首个有误的条目：{min(wrong)}")] if wrong else []
    return [headline[verdict.word], *first, *verdict.lines()]


def _finding(finding: Any) -> dict[str, Any]:
    return {"code": finding.code, "message": finding.message, "file": finding.file, "entry": finding.entry}
