"""Keys on the command line: an address, hex digits, or the name or path of a key file."""

from __future__ import annotations

from pathlib import Path

from api.cli.governing import SigningSession
from api.terminal.language import say


def must_be_attest_key_of(session: SigningSession, number: int, address: str) -> None:
    """Raise CommandError unless this attest key belongs to this department."""
    from api.cli.failures import CommandError

    with session.profile.public() as civic:
        keys = civic.department(number)["attest_keys"]
    if address.lower() not in (str(one["address"]).lower() for one in keys):
        raise CommandError(
            say("{address} is no attest key of department {number}", address=address, number=number),
            hint=f"civic department show {number}",
            code="not-found.key",
        )


def public_of(session: SigningSession, text: str) -> str:
    """The address or public key that a text names: itself, or the public key in a key file."""
    from api.protocol.keystore import key_info

    bare = text.removeprefix("0x")
    if len(bare) in (40, 64) and all(character in "0123456789abcdefABCDEF" for character in bare):
        return "0x" + bare if len(bare) == 40 else bare.lower()
    return key_info(session.profile.key_path(text)).public


def address_of(session: SigningSession, text: str) -> str:
    """An officer's or attest key's address; UsageError for a service key."""
    from api.cli.failures import UsageError

    public = public_of(session, text)
    if not (public.startswith("0x") and len(public) == 42):
        raise UsageError(say("{given} is a service key, not an address", given=text[:60]))
    return public


def service_key_of(session: SigningSession, text: str) -> str:
    """64 hex digits of a service key; UsageError for another."""
    from api.cli.failures import UsageError

    public = public_of(session, text)
    if len(public) != 64:
        raise UsageError(say("{given} is not a service key", given=text[:60]))
    return public


def address_given(text: str, option: str) -> str:
    """An address, or what a key file on this machine says of itself."""
    from api.cli.failures import UsageError
    from api.protocol.keystore import SECP256K1_KINDS, key_info
    from ledger.ids import IdError, parse_address

    try:
        return parse_address(text)
    except IdError:
        if not Path(text).is_file():
            raise
    info = key_info(Path(text))
    if info.kind not in SECP256K1_KINDS:
        raise UsageError(
            say(
                "{option}: {given} is a key of another kind ({kind})",
                option=option,
                given=text,
                kind=info.kind,
            ),
            hint=say("an address comes from a key of kind officer, attest, recovery or council"),
        )
    return info.public
