"""Commands that govern: the message is drafted, shown in words, signed here, and handed in or saved for others.

With ``--save FILE`` nothing is handed in: the file travels to the next officer (``civic sign``), and whoever has the
last signature hands it in (``civic submit``).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from api.cli.command import add_command, own_parameters, refuse_unused
from api.cli.failures import CommandError, UsageError
from api.cli.language import say
from api.cli.options import Deadline, Keys, PassphraseFile, ProfileOption, Save, Wait, Yes
from api.cli.output import Said, facts, note
from api.cli.passphrases import Passphrases
from api.cli.profile import Profile, read_profile
from api.cli.screen import lines

if TYPE_CHECKING:
    from api.sdk.acts import ActDraft
    from api.sdk.client import Civic


@dataclass(frozen=True, slots=True)
class Desk:
    """What a governing command works with: whose profile, which passphrases, until when the message lives."""

    profile: Profile
    passphrases: Passphrases
    deadline: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A drafted act. ``then`` runs after it is recorded and adds to the answer; ``about`` says more at once."""

    draft: ActDraft
    then: Callable[[], dict[str, Any]] | None = None
    about: dict[str, Any] = field(default_factory=dict)


F = TypeVar("F", bound=Callable[..., Proposal])


def governing(app: typer.Typer, name: str, en: str, zh: str, *, lives: str = "PT1H") -> Callable[[F], F]:
    """Register a function that drafts an act (its first parameter is the `Desk`) as a command that sees it through.

    ``lives`` is how long the message may be handed in by default.
    """

    def register(function: F) -> F:
        def run(
            profile: ProfileOption = None,
            key: Keys = None,
            passphrase_file: PassphraseFile = None,
            save: Save = None,
            deadline: Deadline = lives,
            wait: Wait = 20.0,
            yes: Yes = False,
            **own: Any,
        ) -> Said:
            from api.cli.times import instant

            desk = Desk(
                read_profile(profile), Passphrases(passphrase_file), int(instant(deadline).timestamp())
            )
            proposal = function(desk, **own)
            return finish(desk, proposal, key or [], save=save, wait_s=wait, yes=yes)

        shared = [p for p in own_parameters(run) if p.kind is not inspect.Parameter.VAR_KEYWORD]
        add_command(app, name, say(en, zh), run, [*own_parameters(function)[1:], *shared])
        return function

    return register


def finish(
    desk: Desk, proposal: Proposal, keys: Sequence[str], *, save: Path | None, wait_s: float, yes: bool
) -> Said:
    """Show, sign, then save or hand in."""
    from api.sdk.acts import write_act

    if save is not None:
        refuse_unused("--save", "wait")
    if save is not None and save.exists():
        raise CommandError(
            say(f"there is a file at {save} already", f"文件 {save} 已存在"),
            hint=say("choose another name", "请换一个文件名"),
            code="act.file",
        )
    chosen = keys or ([desk.profile.officer] if desk.profile.officer else [])
    if not chosen and save is None:
        raise UsageError(
            say("no key is named that signs", "未指定签名密钥"),
            hint=say("--key NAME, or an officer in the profile", "使用 --key，或在配置中指定人员密钥"),
        )
    if not chosen:
        refuse_unused(say("no key that signs", "无签名密钥"), "passphrase_file")
    draft = sign_with(
        desk.profile,
        proposal.draft,
        [desk.profile.key_path(key) for key in chosen],
        desk.passphrases,
        yes=yes,
    )
    if save is not None:
        write_act(save, draft)
        return _saved(desk.profile, draft, save, proposal)
    answer = hand_in(desk.profile, draft, wait_s)
    return recorded(answer | proposal.about | (proposal.then() if proposal.then else {}))


def sign_with(
    profile: Profile,
    draft: ActDraft,
    keys: Sequence[Path],
    passphrases: Passphrases,
    *,
    yes: bool,
    title: str = "",
) -> ActDraft:
    """The draft with the signatures of these key files, after it was checked, shown whole and confirmed."""
    from api.cli.papers import check_documents
    from api.cli.signing import in_words
    from api.sdk.acts import sign_act
    from api.sdk.keystore import open_secp256k1

    remarks = check_documents(profile, draft)
    lines(*in_words(draft, title), *remarks, error=True)
    if (
        keys
        and not yes
        and sys.stdin.isatty()
        and not typer.confirm(say("Sign this?", "确认签名？"), err=True)
    ):
        raise CommandError(say("nothing was signed", "未签名"), code="command.declined")
    return sign_act(draft, profile.trust(), (open_secp256k1(path, passphrases.of(path)) for path in keys))


def hand_in(profile: Profile, draft: ActDraft, wait_s: float) -> dict[str, Any]:
    """Hand a signed act in and keep its receipt."""
    from api.sdk.drafts import submit

    with profile.public() as civic:
        draft = in_order(civic, draft)
        answer = submit(civic, draft, wait_s=wait_s)
    answer |= {"type": draft.type, "id": draft.id}
    if text := answer.pop("receipt", None):
        answer["receipt"] = str(profile.keep(str(text)))
    return answer


def in_order(civic: Civic, draft: ActDraft) -> ActDraft:
    """The signatures of a quorum as the contract reads them, by the roles that the service says the signers have."""
    from api.sdk.acts import arranged
    from api.sdk.codes import OFFICER_ROLES, bits_of

    ordered = ("Terms", "GrantBatch", "RetireAsset", "Reclassify", "AddOfficer")
    if draft.type not in ordered or len(draft.signatures) < 2:
        return draft
    roles = {
        str(officer["address"]): bits_of(OFFICER_ROLES, officer["roles"])
        for department in civic.departments()
        for officer in civic.department(int(department["id"]))["officers"]
    }
    return arranged(draft, civic.trust, roles)


def recorded(answer: dict[str, Any]) -> Said:
    """An act's answer for people: what became of it, and where the receipt is."""
    state = str(answer.get("state", ""))
    title = {
        "recorded": say("Recorded.", "已入账。"),
        "received": say("Received; it is not recorded yet.", "已受理，尚未入账。"),
        "submitted": say("On its way to the chain; not recorded yet.", "已提交上链，尚未入账。"),
    }.get(state, state)
    if ready := answer.get("ready_at"):
        title = say(
            f"Proposed. The department can be admitted from {ready}, once its first officers signed the same file "
            "(--save, civic sign FILE) and it is handed in again: civic submit FILE",
            f"已提议。该部门自 {ready} 起可被接纳：其首批人员须在同一文件上签名（--save，civic sign FILE），"
            "再执行 civic submit FILE",
        )
        if state == "received":
            title = say(
                f"Proposed. The service admits the department at {ready}; see it again with: civic submit FILE",
                f"已提议。服务将于 {ready} 接纳该部门；再次执行 civic submit FILE 可查看",
            )
    hidden = ("entry", "tx_hash", "agreement", "proposal")
    return facts(answer, title, [(name, value) for name, value in answer.items() if name not in hidden])


def _saved(profile: Profile, draft: ActDraft, path: Path, proposal: Proposal) -> Said:
    document = {
        "saved": str(path),
        "type": draft.type,
        "id": draft.id,
        "digest": "0x" + draft.digest(profile.trust()).hex(),
        "signers": draft.signers(profile.trust()),
    } | proposal.about
    shown = [(name, value) for name, value in document.items() if name != "agreement"]
    said = facts(document, say("Saved; nothing was handed in.", "已保存，未提交。"), shown)
    note(
        say(
            f"next: civic sign {path} --key KEY, then civic submit {path}",
            f"下一步：civic sign {path} --key KEY，然后 civic submit {path}",
        )
    )
    return said
