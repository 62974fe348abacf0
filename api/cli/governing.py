"""Commands for acts: the message is drafted, shown in words, signed, and handed in or saved for other signers.

With ``--save FILE`` nothing is handed in: the file goes to the next officer (``civic sign``), and the last signer
hands it in (``civic submit``).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from api.cli.command import add_command, own_parameters, refuse_unused
from api.cli.failures import CommandError, UsageError
from api.cli.offices import SignedBy, check_offices
from api.cli.options import Deadline, Keys, PassphraseFile, ProfileOption, Save, Wait, Yes
from api.cli.output import CommandResult, facts, note
from api.cli.passphrases import Passphrases
from api.cli.profile import Profile, read_profile
from api.cli.standings import value_words
from api.terminal.language import say
from api.terminal.screen import lines

if TYPE_CHECKING:
    from api.sdk.acts import ActDraft
    from api.sdk.published import Register


@dataclass(frozen=True, slots=True)
class SigningSession:
    """The context of a command that signs an act: profile, passphrases, deadline of the message (unix seconds), and
    how many seconds it waits for the record."""

    profile: Profile
    passphrases: Passphrases
    deadline: int
    wait_s: float = 20.0

    def epoch(self, given: int | None) -> int:
        """The council's epoch, a member of every message that the council may sign: the given one, or the service's."""
        if given is not None:
            return given
        with self.profile.public() as civic:
            return civic.council_epoch()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A drafted act. ``then`` runs after the act is accepted and adds members to its answer; ``about`` is shown
    before.

    ``carried_by`` is the command that accepts the signed file instead of ``civic submit``: then nothing is handed
    in here.
    """

    draft: ActDraft
    then: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    about: dict[str, Any] = field(default_factory=dict)
    carried_by: str = ""


F = TypeVar("F", bound=Callable[..., Proposal])


def governing(app: typer.Typer, name: str, text: str, *, lives: str = "PT1H") -> Callable[[F], F]:
    """Register a function that drafts an act as a command that shows, signs and hands it in. The function's first
    parameter is the `SigningSession`.

    ``lives`` is how long the message can be handed in by default (ISO 8601 duration).
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
        ) -> CommandResult:
            from api.cli.times import instant

            session = SigningSession(
                read_profile(profile), Passphrases(passphrase_file), int(instant(deadline).timestamp()), wait
            )
            proposal = function(session, **own)
            return finish(session, proposal, key or [], save=save, wait_s=wait, yes=yes)

        shared = [p for p in own_parameters(run) if p.kind is not inspect.Parameter.VAR_KEYWORD]
        add_command(app, name, say(text), run, [*own_parameters(function)[1:], *shared])
        return function

    return register


def finish(
    session: SigningSession,
    proposal: Proposal,
    keys: Sequence[str],
    *,
    save: Path | None,
    wait_s: float,
    yes: bool,
) -> CommandResult:
    """Show, sign, then save or hand in."""
    from api.sdk.acts import write_act

    if save is None and proposal.carried_by:
        raise UsageError(
            say("the act is not handed in here: name a file"),
            hint=say("--save FILE, then {carried_by} FILE", carried_by=proposal.carried_by),
        )
    if save is not None:
        refuse_unused("--save", "wait")
    if save is not None and save.exists():
        raise CommandError(
            say("there is a file at {save} already", save=save),
            hint=say("choose another name"),
            code="act.file",
        )
    chosen = keys or ([session.profile.officer] if session.profile.officer else [])
    if not chosen and save is None:
        raise UsageError(
            say("no key is named that signs"),
            hint=say("--key NAME, or an officer in the profile"),
        )
    if not chosen:
        refuse_unused(say("no key that signs"), "passphrase_file")
    draft = sign_with(
        session.profile,
        proposal.draft,
        [session.profile.key_path(key) for key in chosen],
        session.passphrases,
        yes=yes,
        signed_by="some" if save is not None else "all",
    )
    if save is not None:
        write_act(save, draft)
        return _saved(session.profile, draft, save, proposal)
    answer = hand_in(session.profile, draft, wait_s)
    return recorded(answer | proposal.about | (proposal.then(answer) if proposal.then else {}))


def sign_with(
    profile: Profile,
    draft: ActDraft,
    keys: Sequence[Path],
    passphrases: Passphrases,
    *,
    yes: bool,
    signed_by: SignedBy,
    title: str = "",
    offline: bool = False,
) -> ActDraft:
    """The draft with the signatures of these key files. Documents and offices are checked first, and the whole act
    is shown and confirmed. With ``offline`` the service is not asked, and the checks that this omits are named."""
    from api.cli.document_checks import check_documents
    from api.cli.names import PublishedNames
    from api.cli.signing import in_words
    from api.protocol.keystore import open_secp256k1
    from api.sdk.acts import sign_act

    remarks = check_documents(profile, draft, offline=offline)
    with _register(profile, offline) as register:
        remarks += check_offices(register, profile, draft, keys, signed_by)
        names = PublishedNames(register, profile.trust())
        words = in_words(draft, title, names)
    lines(*words, *names.source(), *remarks, error=True)
    if keys and not yes and sys.stdin.isatty() and not typer.confirm(say("Sign this?"), err=True):
        raise CommandError(say("nothing was signed"), code="command.declined")
    return sign_act(draft, profile.trust(), (open_secp256k1(path, passphrases.of(path)) for path in keys))


@contextmanager
def _register(profile: Profile, offline: bool) -> Iterator[Register]:
    """The data that the service publishes. After a fork of its log was detected, the service is not asked."""
    from api.sdk.errors import ForkFound, ServiceUnreachable
    from api.sdk.published import Register

    with ExitStack() as stack:
        if offline:
            found = Register(ServiceUnreachable(say("the service is not asked (--offline)")))
        else:
            try:
                found = Register(stack.enter_context(profile.public()), profile.department)
            except ForkFound as forked:
                found = Register(forked)
        yield found


def hand_in(profile: Profile, draft: ActDraft, wait_s: float) -> dict[str, Any]:
    """Hand a signed act in and keep its receipt."""
    from api.sdk.drafts import submit

    with profile.public() as civic:
        answer = submit(civic, draft, wait_s=wait_s)
    answer |= {"type": draft.type, "id": draft.id}
    if text := answer.pop("receipt", None):
        answer["receipt"] = str(profile.keep(str(text)))
    return answer


def recorded(answer: dict[str, Any]) -> CommandResult:
    """The answer about an act for people: its state and where the receipt is."""
    state = str(answer.get("state", ""))
    title = {
        "recorded": say("Recorded."),
        "awaiting-file": say(
            "Accepted. It takes effect when its file is here, and reads go on over the version before: civic dataset upload ASSET FILE"
        ),
        "received": say("Received; it is not recorded yet."),
        "documents-kept": say("It is on record, and its documents are here again."),
        "submitted": say("On its way to the chain; not recorded yet."),
    }.get(state, state)
    if ready := answer.get("ready_at"):
        title = say(
            "Proposed. The department can be admitted from {ready}, once its first officers signed the same file (--save, civic sign FILE) and it is handed in again: civic submit FILE",
            ready=ready,
        )
        if state == "received":
            title = say(
                "Proposed. The service admits the department at {ready}; see it again with: civic submit FILE",
                ready=ready,
            )
    hidden = (
        "entry",
        "tx_hash",
        "agreement",
        "proposal",
        "changes",
    )  # The changes were shown before the signature.
    return facts(
        answer,
        title,
        [(name, value_words(name, value)) for name, value in answer.items() if name not in hidden],
    )


def _saved(profile: Profile, draft: ActDraft, path: Path, proposal: Proposal) -> CommandResult:
    document = {
        "saved": str(path),
        "type": draft.type,
        "id": draft.id,
        "digest": "0x" + draft.digest(profile.trust()).hex(),
        "signers": draft.signers(profile.trust()),
    } | proposal.about
    shown = [(name, value) for name, value in document.items() if name != "agreement"]
    result = facts(document, say("Saved; nothing was handed in."), shown)
    carrier = proposal.carried_by or "civic submit"
    note(say("next: civic sign {path} --key KEY, then {carrier} {path}", path=path, carrier=carrier))
    return result
