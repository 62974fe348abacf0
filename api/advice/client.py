"""Codes of the client's own checks: keys, profiles, and invalid answers."""

from __future__ import annotations

from collections.abc import Mapping

from api.advice.advice import Advice as _A

CLIENT: Mapping[str, _A] = {
    "keystore": _A(
        400,
        "The key file cannot be used",
        "name a key file of the right kind; make one with: civic keys new NAME --kind KIND",
    ),
    "keystore.wrong-passphrase": _A(
        400,
        "The passphrase does not open the key file",
        "check the passphrase: --passphrase-file or CIVIC_PASSPHRASE",
    ),
    "keystore.no-passphrase": _A(
        400,
        "The key needs its passphrase",
        "give --passphrase-file, CIVIC_PASSPHRASE_FILE or CIVIC_PASSPHRASE",
    ),
    "profile": _A(
        400,
        "The profile or trust file cannot be used",
        "name the profile directory with --profile or CIVIC_PROFILE",
    ),
    "client": _A(400, "The call cannot be made", "check the options"),
    "client.unreachable": _A(
        503, "The service does not answer", "is the service running? start it with: civic serve"
    ),
    "log.fork": _A(
        502,
        "Two different logs are signed with the log's key",
        "give the kept fork file to the auditor and to the other departments; use nothing of this service",
    ),
    "log.unwitnessed": _A(
        502,
        "Too few witnesses have lately cosigned this log",
        "ask who runs the witnesses, and the auditor, which log they see",
    ),
    "heads": _A(
        400,
        "The file of signed heads cannot be used",
        "ask the other department for: civic heads export FILE",
    ),
    "outgoing": _A(
        503,
        "A call to another machine brought no usable answer",
        "check the address, and whether the machine answers in time",
    ),
    "answer": _A(
        502,
        "The service's answer fails its checks",
        "do not use this service until its operator has explained it",
    ),
    "word": _A(400, "The word is not in the vocabulary", "use a listed word"),
    "command": _A(
        400, "The command could not do its work", "read the message; civic COMMAND --help shows what it needs"
    ),
    "command.declined": _A(400, "The signer said no", "nothing was signed; run the command again to sign"),
    "usage": _A(400, "The options of the command do not fit together", "see civic COMMAND --help"),
    "version.unchanged": _A(400, "The new version is the one on record", "there is nothing to update"),
    "condition.opening": _A(400, "The file of the opening cannot be written", "choose another name"),
    "replay.input": _A(
        400,
        "What is to be run again does not belong to the entries",
        "give the entries, their openings and the terms of the grants they name",
    ),
    "demo.service": _A(
        503,
        "The service of the demo ended or does not answer",
        "read the lines of the service above; run make demo again",
    ),
    "client.call": _A(
        400,
        "What was to be asked does not fit into a request",
        "check identifiers and options for characters that do not belong there",
    ),
    "file.exists": _A(400, "There is a file of this name already", "choose another name"),
    "metadata.file": _A(
        400,
        "The file of the catalogue entry cannot be written or read",
        "choose another name, or correct the file",
    ),
    "install.client": _A(
        501,
        "The client's package cannot run this command",
        "run it where the package civicledger is installed",
    ),
    "version.overtaken": _A(
        409,
        "Another version was recorded meanwhile",
        "run the same command again: it appends to that version",
    ),
}
