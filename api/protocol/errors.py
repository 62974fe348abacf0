"""Errors of programs that use keys, trust files or data files: one root, each with a stable ``code`` and the next
step."""

from __future__ import annotations


class ClientError(Exception):
    """Root of every error that the SDK raises."""

    code = "client.error"
    hint = ""

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint
        if code is not None:
            self.code = code


class KeystoreError(ClientError):
    """A key file cannot be used."""

    code = "keystore.invalid"


class WrongPassphrase(KeystoreError):
    """The passphrase does not open the key file."""

    code = "keystore.wrong-passphrase"
    hint = "check the passphrase: --passphrase-file or CIVIC_PASSPHRASE"


class ProfileError(ClientError):
    """The caller's profile directory is missing or damaged."""

    code = "profile.invalid"
    hint = "name the profile directory with --profile DIR or CIVIC_PROFILE"
