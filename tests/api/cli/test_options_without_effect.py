"""What is given on a command line and cannot have an effect is an error: every command and option is walked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import root
from api.cli.profile import Profile
from tests.api.cli.conftest import Run

GOVERNING = "key passphrase_file save deadline wait yes profile"
CALLING = "service_key passphrase_file profile"
HEEDED = {
    "init": "home plan council threshold guardian admission_delay bureau bureau_number name_zh name_en bureau_passphrase_file"
    " rpc_url relayer_key passphrase_file",
    "serve": "home host port production rpc_port clock_is json",
    "demo": "home serve replace rpc_url json",
    "draft": f"type_name members message argument document epoch {GOVERNING}",
    "sign": "file key passphrase_file yes offline profile",
    "submit": "file wait profile",
    "status": "profile",
    "request": f"asset purpose legal_basis until starts columns note request_id {CALLING}",
    "grant": "asset to columns purpose where transform starts until uses duty legal_basis version law template terms right"
    f" request {GOVERNING}",
    "backup": "folder home",
    "restore": "folder kept check home",
    "accept": "grant_id key passphrase_file yes profile",
    "revoke": f"grant_id reason {GOVERNING}",
    "replace": f"grant_id by {GOVERNING}",
    "correct-uses": f"grant_id total {GOVERNING}",
    "suspend": f"subject reason by epoch {GOVERNING}",
    "lift": f"subject reason by epoch {GOVERNING}",
    "read": "asset purpose columns where order limit form out grant version dry_run legal_basis attribute idempotency_key"
    f" {CALLING}",
    "chain serve": "home host port json",
    "chain status": "home json",
    "chain rebuild": "home",
    "chain restored": "home block",
    "upgrade": "home",
    "doctor": "home",
    "home show": "home",
    "home move": "home older_chain",
    "witness init": "state trust name passphrase_file",
    "witness serve": "state host port passphrase_file",
    "config show": "home host port production",
    "config check": "home host port production",
    "config units": "to",
    "profile init": "url department trust name officer service witness witness_minutes profile",
    "profile show": "profile",
    "keys new": "key kind label passphrase_file profile",
    "keys list": "profile",
    "keys show": "key profile",
    "department list": "limit profile",
    "department show": "number profile",
    "department enroll": "number url trust name_zh name_en officer seat service_roles recovery kind epoch passphrase_file"
    " profile",
    "department admit": "file key passphrase_file wait yes profile",
    "department add-officer": f"number who roles starts until epoch {GOVERNING}",
    "department remove-officer": f"who epoch {GOVERNING}",
    "department add-key": f"number machine roles starts until epoch {GOVERNING}",
    "department remove-key": f"number machine epoch {GOVERNING}",
    "department suspend": f"number reason epoch {GOVERNING}",
    "department lift": f"number reason epoch {GOVERNING}",
    "department restore-privilege": f"number grant epoch {GOVERNING}",
    "department cancel-recovery": f"who recovery epoch {GOVERNING}",
    "council hand-over": f"successor freeze at epoch {GOVERNING}",
    "council call-off": f"hand_over_id epoch {GOVERNING}",
    "dataset list": "department limit profile",
    "dataset show": "asset version profile",
    "dataset register": "asset file metadata classes person_key title_zh title_en description_zh description_en grade"
    f" sharing update_cycle legal_basis licence parent no_upload encoding delimiter sheet types zone missing show_values {GOVERNING}",
    "dataset inspect": "file types classes person_key missing zone encoding delimiter sheet show_values write write_entry"
    " profile",
    "dataset update": "asset file metadata types classes person_key missing zone encoding delimiter sheet show_values"
    f" no_upload {GOVERNING}",
    "dataset append": f"asset files no_upload {GOVERNING}",
    "dataset source": f"asset {CALLING}",
    "dataset upload": f"asset file encoding delimiter sheet {CALLING}",
    "dataset suspend": f"asset reason by {GOVERNING}",
    "dataset lift": f"asset reason by {GOVERNING}",
    "dataset renew-parent": f"asset parent under {GOVERNING}",
    "dataset retire": f"asset {GOVERNING}",
    "condition open": f"condition kind reference opening {GOVERNING}",
    "condition bind": f"grant_id condition {GOVERNING}",
    "condition close": f"condition reason revoke {GOVERNING}",
    "condition list": "keeper limit profile",
    "requests list": f"side state limit {CALLING}",
    "requests show": f"request_id {CALLING}",
    "requests refuse": f"request_id reason explanation {CALLING}",
    "requests withdraw": f"request_id {CALLING}",
    "grants list": "asset grantee limit profile",
    "grants show": "grant_id profile",
    "purposes list": "below legal_bases",
    "purposes search": "text",
    "policy check": "files",
    "policy explain": "files by asset purpose action columns at used attribute version current",
    "policy who-can": "files asset purpose action at",
    "policy diff": "old new",
    "policy replay": "file",
    "heads export": "file profile",
    "heads exchange": "source profile",
    "audit verify": "bundle trust kept older resume most_bytes most_seconds profile",
    "audit export": f"out {CALLING}",
    "audit readers": f"asset subject limit cursor proved {CALLING}",
    "audit search": f"department asset grant actor purpose decision kind since until limit cursor proved {CALLING}",
    "audit fsck": "home",
    "audit open": f"operator quorum deadline epoch {GOVERNING}",
    "audit new-epoch": f"operator size root reason epoch quorum {GOVERNING}",
    "audit rotate-vault": "home forget",
    "audit erase": "asset subject officer home",
    "audit publish": "to form home",
    "audit epoch": "act lost home",
    "audit expire": "dry_run home",
    "audit archive": "bundle before home",
    "audit timestamp": "home",
    "audit receipt get": f"index anchored {CALLING}",
    "audit receipt verify": "file trust",
}
"""Every command with its parameters. A new parameter is added here once it has an effect, or is refused by
`REFUSED` where it cannot have one."""

A_GRANT = ("grant", "--terms", "{terms}", "--save", "{save}", "--key", "wang")
AN_ENTRY = ("dataset", "register", "--metadata", "{terms}", "--save", "{save}")
A_VERSION = ("dataset", "update", "7.1", "x.csv", "--metadata", "{terms}", "--save", "{save}")
A_READ = ("read", "7.1", "--purpose", "dpv:PublicBenefit", "--dry-run")
A_REVOCATION = ("revoke", "0x" + "12" * 32, "--save", "{save}")
A_DRAFT = (
    "draft",
    "Ratify",
    "--set",
    "grant=0x" + "12" * 32,
    "--set",
    "deadline=4000000000",
    "--save",
    "{save}",
)

REFUSED: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    *((A_GRANT, given) for given in (
        ("7.12",), ("--to", "9"), ("--columns", "a"), ("--purpose", "dpv:PublicBenefit"), ("--where", "{{}}"),
        ("--transform", "a=pseudonym"), ("--from", "PT0S"), ("--until", "P1D"), ("--uses", "3"), ("--duty", "assess"),
        ("--legal-basis", "x"), ("--law", "x"), ("--template", "agreement"), ("--version", "3"),
    )),
    *((AN_ENTRY, given) for given in (
        ("--class", "a=plain"), ("--person-key", "a"), ("--title-zh", "x"), ("--title-en", "x"),
        ("--description-zh", "x"), ("--description-en", "x"), ("--grade", "general"), ("--sharing", "none"),
        ("--update-cycle", "P1D"), ("--legal-basis", "x"), ("--licence", "x"), ("--no-upload",),
    )),
    *((A_VERSION, given) for given in (
        ("--type", "a=string"), ("--class", "a=plain"), ("--person-key", "a"), ("--zone", "UTC"), ("--missing", "-"),
    )),
    *((A_READ, given) for given in (("--format", "csv"), ("--out", "{save}"), ("--idempotency-key", "x"))),
    (A_REVOCATION, ("--wait", "3")),
    (A_DRAFT, ("--epoch", "1")),
    (A_DRAFT, ("--deadline", "P1D")),
    (("suspend", "dept:9", "--reason", "r", "--epoch", "1", "--save", "{save}"), ("--by", "bureau")),
    (("suspend", "7.12", "--reason", "r", "--save", "{save}"), ("--epoch", "1")),
    (("grant", "7.1", "--columns", "a", "--until", "P1D", "--template", "unconditional"), ("--to", "9")),
    (("grant", "7.1", "--columns", "a", "--until", "P1D", "--template", "unconditional"), ("--purpose", "dpv:X")),
    (("audit", "verify", "{save}"), ("--profile", "{terms}")),
    (("keys", "show", "./x.json"), ("--profile", "{terms}")),
    (("keys", "new", "./x.json", "--kind", "service"), ("--profile", "{terms}")),
]  # fmt: skip
"""A well-formed command, and options that have no effect with it."""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name, child in inner.items():
        yield from leaves(child, (*path, name))


def test_every_command_and_option_is_walked() -> None:
    found = {
        name: {one.name for one in command.params} - {"help", "as_json", "lang"}
        for name, command in leaves(root())
    }
    assert found == {name: set(words.split()) for name, words in HEEDED.items()}


@pytest.mark.parametrize(("command", "given"), REFUSED, ids=lambda words: " ".join(words))
def test_option_without_effect_is_refused(
    run: Run, profile: Profile, tmp_path: Path, command: tuple[str, ...], given: tuple[str, ...]
) -> None:
    places = {"terms": tmp_path / "terms.json", "save": tmp_path / "act.json"}
    places["terms"].write_text("{}")
    words = [word.format(**places) if "{" in word else word for word in (*command, *given)]
    refused = run(*words, "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")
    assert "has no effect with" in refused.error["message"]
    assert not places["save"].exists()
    without = run(*words[: len(command)], "--json")
    said = json.loads(without.out.splitlines()[-1]).get("error", {}).get("message", "")
    assert "has no effect" not in said


def test_a_passphrase_without_a_signer_is_refused(
    run: Run, profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads((profile.path / "profile.json").read_text())
    (profile.path / "profile.json").write_text(json.dumps(document | {"officer": ""}))
    act = ("revoke", "0x" + "12" * 32, "--save", tmp_path / "act.json", "--json")
    refused = run(*act, "--passphrase-file", tmp_path / "secret")
    assert (refused.code, refused.error["code"]) == (2, "usage")
    monkeypatch.setenv("CIVIC_PASSPHRASE_FILE", str(tmp_path / "secret"))
    assert run(*act).code == 0, "the environment is for every command: it may be left unused"


@pytest.mark.parametrize(
    "command",
    [("home", "show"), ("audit", "fsck"), ("purposes", "search", "x"), ("chain", "status"), ("serve",)],
)
def test_a_profile_before_a_command_that_has_none_is_refused(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    refused = run("--profile", tmp_path, *command, "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")


def test_two_profiles_are_refused(run: Run, profile: Profile, tmp_path: Path) -> None:
    refused = run("--profile", tmp_path, "keys", "list", "--profile", profile.path, "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")
    assert run("--profile", profile.path, "keys", "list", "--profile", profile.path, "--json").code == 0


@pytest.mark.parametrize(
    "given",
    [
        ("--attribute", "a=1", "--attribute", "a=2"),
        ("--attribute", "legalBasis=x", "--legal-basis", "y"),
    ],
)
def test_repeated_value_is_refused(run: Run, profile: Profile, given: tuple[str, ...]) -> None:
    refused = run("read", "7.1", "--purpose", "dpv:PublicBenefit", *given, "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")


@pytest.mark.parametrize(
    "given",
    [
        ("a=pseudonym:k",),
        ("a=band:10:0:5",),
        ("a=round:5:6",),
        ("a=mask:0:4:x:y",),
        ("a=truncate:month:day",),
        ("a=clamp:1:2:3",),
        ("a=pseudonym", "a=round:5"),
    ],
)
def test_a_transform_of_which_a_part_is_not_used_is_refused(
    run: Run, profile: Profile, tmp_path: Path, given: tuple[str, ...]
) -> None:
    options = [word for text in given for word in ("--transform", text)]
    terms = ("--to", "9", "--columns", "a", "--until", "P1D", "--save", tmp_path / "act.json")
    refused = run("grant", "7.1", *terms, *options, "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")
