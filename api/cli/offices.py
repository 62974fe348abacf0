"""Checks before signing whether the act needs the officers whose keys are to sign it.

The rules are those of the service (`ledger.acts.rules`), evaluated over the officers and records that it publishes.
If the service cannot be asked, the user is told; the service checks the signatures again when the act is handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from api.http.problems import advice_for
from api.protocol.errors import ClientError
from api.terminal.language import language, say

if TYPE_CHECKING:
    from api.cli.profile import Profile
    from api.sdk.acts import ActDraft
    from api.sdk.published import Register
    from ledger.acts.refusal import ActRefused

SignedBy = Literal["all", "some", "grantee"]
"""Which signers are meant: all of the act, some of them, or the grantee's officer, who accepts what others signed."""


class OfficerCannotSign(ClientError):
    """Nothing was signed: the act needs an officer of another office or department."""

    def __init__(self, refused: ActRefused, fitting: Sequence[str]) -> None:
        advice = advice_for(refused.code)
        message, hint = refused.detail, say(advice.next)
        if language() == "zh":
            message = say("{title} ({detail})", title=say(advice.title), detail=message)
        if fitting:
            keys = " | ".join(f"--key {name}" for name in fitting)
            hint = say("sign with a key of this profile that may: {keys}", keys=keys)
        more = say("if the service is mistaken, sign a file without asking it: civic sign FILE --offline")
        hint = say("{first}; {second}", first=hint, second=more)
        super().__init__(message, hint=hint, code=refused.code)


def check_offices(
    register: Register, profile: Profile, draft: ActDraft, keys: Sequence[Path], signed_by: SignedBy
) -> list[str]:
    """The checks that could not be made, in words; OfficerCannotSign if one of the keys may not sign this act."""
    from api.protocol.keystore import key_info
    from api.sdk.published import officers_refused

    if not keys or signed_by == "grantee":
        return []
    signed = draft.signers(profile.trust())
    adding = [key_info(path).public for path in keys]
    signers = [*signed, *(one for one in adding if one not in signed)]
    try:
        refused = officers_refused(register, draft, signers, others_follow=signed_by == "some")
        fitting = [] if refused is None else _fitting(profile, register, draft, signed)
    except ClientError as unasked:
        note_text = say("whether the act needs this officer was not checked")
        return [f"  {note_text} [{unasked.code}]"]
    if refused is not None:
        raise OfficerCannotSign(refused, fitting)
    return []


def _fitting(profile: Profile, register: Register, draft: ActDraft, signed: Sequence[str]) -> list[str]:
    """The names of the profile's keys that may sign the act next."""
    from api.protocol.errors import KeystoreError
    from api.protocol.keystore import SECP256K1_KINDS, key_info
    from api.sdk.published import officers_refused

    found = []
    for path in sorted(profile.keys.glob("*.json")):
        try:
            info = key_info(path)
        except KeystoreError:
            continue
        if info.kind not in SECP256K1_KINDS or info.public in signed:
            continue
        if officers_refused(register, draft, [*signed, info.public], others_follow=True) is None:
            found.append(path.stem)
    return found
