"""Finds the passphrase of a key file, in this order:

``--passphrase-file``, CIVIC_PASSPHRASE_FILE, CIVIC_PASSPHRASE, the file ``demo-passphrase`` beside a demo's key,
and a prompt on the terminal. A demo's passphrase is public: it opens only keys that are marked as a demo's, and
none in production mode (CIVIC_PRODUCTION).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from api.protocol.errors import KeystoreError
from api.terminal.language import say
from ledger.visible import visible

DEMO_FILE = "demo-passphrase"


class PassphraseMissing(KeystoreError):
    """No passphrase was given, and there is no terminal to ask on."""

    code = "keystore.no-passphrase"
    hint = "give --passphrase-file FILE, CIVIC_PASSPHRASE_FILE or CIVIC_PASSPHRASE"


@dataclass(frozen=True, slots=True)
class Passphrases:
    """The passphrases of one command; the user is asked at most once for each key."""

    file: Path | None = None
    _asked: dict[Path, str] = field(default_factory=dict, repr=False)

    def of(self, key: Path) -> str:
        """The passphrase of an existing key file."""
        given = self._given()
        if given is not None:
            return given
        if (demo := self._demo(key)) is not None:
            return demo
        if key not in self._asked:
            self._asked[key] = _ask(say("Passphrase of {name}: ", name=key.name))
        return self._asked[key]

    def new(self, key: Path) -> str:
        """A passphrase for a new key; a terminal asks for it twice."""
        given = self._given()
        if given is not None:
            return given
        first = _ask(say("New passphrase for {name}: ", name=key.name))
        if first != _ask(say("The same again: ")):
            raise KeystoreError(say("the two passphrases differ"))
        return first

    def _given(self) -> str | None:
        from api.runtime.settings import HomeError, Settings, given_passphrase

        settings = Settings.given(passphrase_file=self.file)
        try:
            return given_passphrase(settings)
        except HomeError as unreadable:
            path = settings.passphrase_file
            raise PassphraseMissing(
                say("the passphrase file {path} cannot be read", path=path)
            ) from unreadable

    @staticmethod
    def _demo(key: Path) -> str | None:
        from api.protocol.keystore import key_info
        from api.runtime.settings import Settings

        beside = key.parent / DEMO_FILE
        if not beside.is_file() or not key_info(key).demo or Settings().production:
            return None
        return beside.read_text("utf-8").rstrip("\r\n")


def _ask(question: str) -> str:
    if not sys.stdin.isatty():
        raise PassphraseMissing(say("the key needs its passphrase"))
    from getpass import getpass

    return getpass(visible(question))  # getpass writes to the terminal itself.
