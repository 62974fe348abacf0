"""``civic sign`` and ``civic submit``: an act that travels from officer to officer. Also ``civic status``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.failures import UsageError
from api.cli.language import say
from api.cli.lost_acts import lost_act_words
from api.cli.options import Keys, PassphraseFile, ProfileOption, Wait, Yes
from api.cli.output import Said, facts, witnessed


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(
        app,
        "sign",
        "Add your signature to an act file, after it was shown in words.",
        "以文字展示后，在行为文件上加签。",
    )(sign)
    command(app, "submit", "Hand in an act file that has its signatures.", "提交已签名的行为文件。")(submit)
    command(
        app,
        "status",
        "The service's chain, log and version; its newest checkpoint is checked against the last one seen.",
        "服务的链、日志与版本；其最新检查点将与上次所见核对。",
    )(status)


ActFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help=say("Act file, as --save writes it.", "由 --save 写出的行为文件。")),
]


def sign(
    file: ActFile,
    key: Keys = None,
    passphrase_file: PassphraseFile = None,
    yes: Yes = False,
    profile: ProfileOption = None,
) -> Said:
    from api.cli.governing import sign_with
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile
    from api.cli.signing import message_words
    from api.sdk.acts import read_act, write_act

    found = read_profile(profile)
    chosen = key or ([found.officer] if found.officer else [])
    if not chosen:
        raise UsageError(say("no key is named that signs", "未指定签名密钥"), hint="--key NAME")
    draft = read_act(file)
    before = len(draft.signatures)
    paths = [found.key_path(name) for name in chosen]
    signed = sign_with(found, draft, paths, Passphrases(passphrase_file), yes=yes)
    write_act(file, signed, replacing=True)
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
    return facts(document, say("Signed.", "已签名。"), shown)


def submit(file: ActFile, wait: Wait = 20.0, profile: ProfileOption = None) -> Said:
    from api.cli.governing import hand_in, recorded
    from api.cli.profile import read_profile
    from api.sdk.acts import read_act

    draft = read_act(file)
    if not draft.signatures:
        raise UsageError(
            say(f"nobody has signed {file} yet", f"{file} 尚无签名"), hint=f"civic sign {file} --key KEY"
        )
    return recorded(hand_in(read_profile(profile), draft, wait))


def status(profile: ProfileOption = None) -> Said:
    from api.cli.profile import read_profile

    with read_profile(profile).public() as civic:
        document = civic.status()
        document["witnessed"] = civic.witnesses.state()
    chain, log = document.get("chain", {}), document.get("log", {})
    return facts(
        document,
        say(
            "The service answers, and its log extends the one seen before.", "服务应答，其日志延续此前所见。"
        ),
        [
            (say("version", "版本"), document.get("version")),
            (say("mode", "模式"), document.get("mode")),
            (say("chain", "链"), chain.get("id")),
            (say("block", "区块"), _block(chain)),
            (say("log", "日志"), log.get("origin")),
            (say("entries", "条目数"), log.get("size")),
            (say("cosigned", "联署"), witnessed(document["witnessed"])),
            *((say("witness", "见证方"), _witness(one)) for one in log.get("witnesses", [])),
            *((say("held", "停用"), lost_act_words(one)) for one in document.get("held", [])),
        ],
    )


def _block(chain: Mapping[str, Any]) -> str:
    """The newest block, or the last one that was followed."""
    if chain.get("reached", True):
        return str(chain.get("block"))
    return say(f"{chain.get('block')} (the chain does not answer)", f"{chain.get('block')}（链未应答）")


def _witness(state: Mapping[str, Any]) -> str:
    """What one witness of the log last did."""
    cosigned, name = state.get("cosigned"), state.get("name")
    if state.get("problem"):
        said = say("gives no cosignature", "未联署") + f" [{state['problem']}]"
    else:
        said = say("is well", "正常") if cosigned else say("was not asked yet", "尚未询问")
    if cosigned:
        said += say("; cosigned size ", "；已联署至条目数 ") + str(cosigned.get("size"))
    return f"{name} {said}"
