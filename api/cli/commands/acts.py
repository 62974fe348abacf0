"""``civic sign``, ``civic submit`` and ``civic status``: sign an act file and hand it in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.failures import UsageError
from api.cli.lost_acts import lost_act_words
from api.cli.options import Keys, PassphraseFile, ProfileOption, Wait, Yes
from api.cli.output import CommandResult, facts, witnessed
from api.terminal.language import say
from ledger.counts import counted


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "sign", "Add your signature to an act file, after it was shown in words.")(sign)
    command(app, "submit", "Hand in an act file that has its signatures.")(submit)
    command(
        app,
        "status",
        "The service's chain, log and version; its newest checkpoint is checked against the last one seen.",
    )(status)


ActFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help=say("Act file, as --save writes it.")),
]

Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        help=say("Ask the service nothing: neither whether the act needs this officer nor names."),
    ),
]


def sign(
    file: ActFile,
    key: Keys = None,
    passphrase_file: PassphraseFile = None,
    yes: Yes = False,
    offline: Offline = False,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.governing import sign_with
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile
    from api.cli.signing import message_words
    from api.sdk.acts import read_act, write_act

    found = read_profile(profile)
    chosen = key or ([found.officer] if found.officer else [])
    if not chosen:
        raise UsageError(say("no key is named that signs"), hint="--key NAME")
    draft = read_act(file)
    before = len(draft.signatures)
    paths = [found.key_path(name) for name in chosen]
    passphrases = Passphrases(passphrase_file)
    signed = sign_with(found, draft, paths, passphrases, yes=yes, signed_by="some", offline=offline)
    write_act(file, signed, replacing=draft)
    document = {
        "file": str(file),
        "type": signed.type,
        "id": signed.id,
        "digest": "0x" + signed.digest(found.trust()).hex(),
        "added": len(signed.signatures) - before,
        "signers": signed.signers(found.trust()),
        "words": [{"label": label, "value": value} for label, value in message_words(signed)],
    }
    shown = [(name, value) for name, value in document.items() if name != "words"]
    return facts(document, say("Signed."), shown)


def submit(file: ActFile, wait: Wait = 20.0, profile: ProfileOption = None) -> CommandResult:
    from api.cli.governing import hand_in, recorded
    from api.cli.profile import read_profile
    from api.sdk.acts import read_act

    draft = read_act(file)
    if not draft.signatures:
        raise UsageError(say("nobody has signed {file} yet", file=file), hint=f"civic sign {file} --key KEY")
    return recorded(hand_in(read_profile(profile), draft, wait))


def status(profile: ProfileOption = None) -> CommandResult:
    from api.cli.profile import read_profile

    with read_profile(profile).public() as civic:
        document = civic.status()
        document["witnessed"] = civic.witnesses.state()
    chain, log = document.get("chain", {}), document.get("log", {})
    return facts(
        document,
        say("The service answers, and its log extends the one seen before."),
        [
            (say("version"), document.get("version")),
            (say("mode"), document.get("mode")),
            (say("chain"), chain.get("id")),
            (say("block"), _block(chain)),
            *((say("nodes"), _nodes(nodes)) for nodes in [chain.get("nodes")] if nodes),
            *((say("clock"), _clock(clock)) for clock in [document.get("clock", {})] if _in_doubt(clock)),
            *((say("fails"), words) for words in _failing(document)),
            (say("log"), log.get("origin")),
            (say("entries"), log.get("size")),
            (say("cosigned"), witnessed(document["witnessed"])),
            *((say("witness"), _witness(one)) for one in log.get("witnesses", [])),
            (say("council"), _council(document.get("council", {}))),
            *((say("hand-over"), words) for words in _hand_over(document.get("council", {}))),
            *((say("uses"), words) for words in _behind(document.get("uses", {}))),
            *((say("held"), lost_act_words(one)) for one in document.get("held", [])),
        ],
    )


def _council(council: Mapping[str, Any]) -> str:
    """The council in office and its threshold."""
    if not council:
        return ""
    epoch, size, needed = council.get("epoch"), len(council.get("members", ())), council.get("threshold")
    return say("epoch {epoch}, {needed} of {size} sign", epoch=epoch, needed=needed, size=size)


def _hand_over(council: Mapping[str, Any]) -> Iterator[str]:
    """The announced hand-over: its contract and its time; empty if none is announced."""
    from api.cli.times import unix_text

    if found := council.get("hand_over"):
        freeze, hand_over = unix_text(found["freeze_at"]), unix_text(found["hand_over_at"])
        yield say(
            "to {successor}: nothing new begins here from {freeze}, it acts from {hand_over} (civic council call-off {id})",
            successor=found["successor"],
            freeze=freeze,
            hand_over=hand_over,
            id=found["id"],
        )


def _behind(uses: Mapping[str, Any]) -> Iterator[str]:
    """The number of uses that are not recorded on chain yet; empty if all are recorded."""
    if uses.get("uses"):
        since = uses.get("since") or say("an unknown time")
        yield say(
            "{uses} of {grants} not on chain yet, since {since}",
            uses=counted(uses["uses"], "use"),
            grants=counted(uses["grants"], "grant"),
            since=since,
        )
    if uses.get("late"):
        yield say("{uses} can be recorded on chain no more", uses=counted(uses["late"], "use"))


def _block(chain: Mapping[str, Any]) -> str:
    """The newest block, or the last block that was followed."""
    if chain.get("reached", True):
        return str(chain.get("block"))
    return say("{block} (the chain does not answer)", block=chain.get("block"))


def _nodes(nodes: Mapping[str, Any]) -> str:
    """How many of the chain's nodes agree."""
    agree, configured, needed = nodes.get("agree"), nodes.get("configured"), nodes.get("needed")
    return say(
        "{agree} of {configured} agree, {needed} are needed",
        agree=agree,
        configured=configured,
        needed=needed,
    )


def _in_doubt(clock: Mapping[str, Any]) -> bool:
    return clock.get("state") not in (None, "ok")


def _clock(clock: Mapping[str, Any]) -> str:
    """The state of a clock in doubt: the time it shows and the time that is known."""
    return (
        say(
            "in doubt, nothing is released: it says {says}, known is {known}",
            says=clock.get("says"),
            known=clock.get("known"),
        )
        + f" [{clock.get('state')}]"
    )


def _failing(document: Mapping[str, Any]) -> list[str]:
    """The periodic tasks of the service that fail at present."""
    log = document.get("log", {})
    upkeep = {name: (of or {}).get("problem") for name, of in log.get("upkeep", {}).items()}
    found = {**document.get("work", {}), **upkeep}
    if log.get("newer_seen"):
        found["log"] = "audit.rollback"
    return [f"{name} [{code}]" for name, code in found.items() if code]


def _witness(state: Mapping[str, Any]) -> str:
    """The last result of one witness of the log."""
    cosigned, name = state.get("cosigned"), state.get("name")
    if state.get("problem"):
        state_text = say("gives no cosignature") + f" [{state['problem']}]"
    else:
        state_text = say("is well") if cosigned else say("was not asked yet")
    if cosigned:
        state_text += say("; cosigned size ") + str(cosigned.get("size"))
    return f"{name} {state_text}"
