"""A founding and an enrolment that cannot be are refused before anything is created; act files that others may change."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from api.cli.profile import Profile
from api.sdk.acts import ActDraft, ActFileError, read_act, write_act
from api.sdk.drafts import draft_suspension
from ledger.audit.formats.checkpoint import sign_checkpoint
from ledger.audit.formats.note import Signer
from tests.api.cli.conftest import Run
from tests.simulators.lying_service import LyingService

BUREAU = '[bureau]\ndirectory = "bureau"\nname_zh = "数据局"\nname_en = "Data Bureau"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory with a passphrase, in which the command runs."""
    place = tmp_path / "here"
    place.mkdir()
    (place / "city.pass").write_text("secret")
    monkeypatch.chdir(place)
    return place


def names(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (["--passphrase-file", "empty.pass"], "keystore.invalid"),
        (["--passphrase-file", "long.pass"], "keystore.invalid"),
        (["--bureau", "city"], "usage"),
        (["--bureau", "city/bureau"], "usage"),
        (["--bureau", "nowhere"], "profile.invalid"),
        (["--bureau", "."], "profile.invalid"),
        (["--home", "."], "usage"),
        (["--name-en", ""], "usage"),
        (["--guardian", "x"], "id.invalid"),
        (["--guardian", "0x" + "0" * 40], "home.invalid"),
        (["--council", "0x" + "0" * 40], "home.invalid"),
        (["--council", "0x" + "12" * 20, "--council", "0x" + "12" * 20], "home.invalid"),
        (["--admission-delay", "99999999999999"], "home.invalid"),
        (["--rpc-url", "http://127.0.0.1:1"], "home.invalid"),
        (["--rpc-url", "http://127.0.0.1:1", "--relayer-key", "missing.json"], "keystore.invalid"),
    ],
)
def test_bad_founding_creates_nothing(here: Path, run: Run, given: list[str], code: str) -> None:
    (here / "empty.pass").write_text("")
    (here / "long.pass").write_text("x" * 2_000)
    (here / "nowhere").symlink_to("missing")
    before = names(here)
    init = ("init", "--home", "city", "--bureau", "bureau", "--passphrase-file", "city.pass")
    assert run(*init, *given, "--json").error["code"] == code
    assert names(here) == before


@pytest.mark.parametrize(
    ("text", "member"),
    [
        ("admission_delay = -5\n" + BUREAU, "admission_delay"),
        ("admission_delay = 4294967296\n" + BUREAU, "admission_delay"),
        ("threshold = 0\n" + BUREAU, "threshold"),
        (BUREAU + "number = 0\n", "number"),
        (BUREAU + "number = 16777216\n", "number"),
        ('home = "a\\u0000b"\n' + BUREAU, "home"),
        ('home = ""\n' + BUREAU, "home"),
        ('home = "~nobody-is-called-this/city"\n' + BUREAU, "home"),
        ("council = " + "[" * 5_000 + "]" * 5_000, "city.toml"),
    ],
    ids=["delay-below", "delay-above", "threshold", "number-0", "25-bits", "nul", "empty", "user", "deep"],
)
def test_bad_plan_is_refused_by_its_member(here: Path, run: Run, text: str, member: str) -> None:
    (here / "city.toml").write_text(text)
    before = names(here)
    refused = run("init", "--plan", "city.toml", "--passphrase-file", "city.pass", "--json").error
    assert refused["code"] == "usage"
    assert member in refused["message"]
    assert names(here) == before


def test_an_option_replaces_one_member_of_the_plan(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan's other members stay, and its ``~`` is the user's directory."""
    (here / "user").mkdir()
    monkeypatch.setenv("HOME", str(here / "user"))
    (here / "city.toml").write_text(f'home = "~/city"\n{BUREAU}number = 7\n')
    plan = (
        "--plan",
        "city.toml",
        "--bureau",
        "other",
        "--name-en",
        "Seventh",
        "--passphrase-file",
        "city.pass",
    )
    assert run("init", *plan, "--json").code == 0
    profile = json.loads((here / "other/profile.json").read_text())
    assert (profile["department"], profile["name"]) == (7, "Seventh")
    assert (here / "user/city/civic.json").exists()


@pytest.mark.parametrize("epoch", [None, "1", True, [1], 1.5])
def test_an_enrolment_by_a_service_without_an_epoch_creates_nothing(
    here: Path, run: Run, profile: Profile, log_signer: Signer, epoch: object
) -> None:
    note = str(sign_checkpoint(log_signer, 1, b"\x01" * 32))
    status = {"log": {"checkpoint": note, "keys": []}, "council": {"epoch": epoch}}
    with LyingService(lambda _: status) as service:
        document = json.loads(profile.trust_file.read_text())
        (here / "trust.json").write_text(json.dumps(document | {"gateway_key": service.public}))
        before = names(here)
        enroll = (
            "department",
            "enroll",
            2,
            "--url",
            service.url,
            "--trust",
            "trust.json",
            "--profile",
            "new",
        )
        words = ("--name-zh", "规划局", "--name-en", "Planning", "--passphrase-file", "city.pass", "--json")
        refused = run(*enroll, *words).error
    assert refused["code"] == "answer.invalid"
    assert names(here) == before


@pytest.mark.parametrize(
    ("name", "place", "code"), [("", "new", "usage"), (" ", "new", "usage"), ("P", ".", "profile.invalid")]
)
def test_an_enrolment_without_a_name_or_a_place_creates_nothing(
    here: Path, run: Run, profile: Profile, name: str, place: str, code: str
) -> None:
    before = names(here)
    enroll = ("department", "enroll", 2, "--url", "http://127.0.0.1:1", "--trust", profile.trust_file)
    words = ("--name-zh", "规划局", "--name-en", name, "--profile", place, "--json")
    assert run(*enroll, *words).error["code"] == code
    assert names(here) == before


def test_an_act_that_changed_while_it_was_signed_keeps_the_other_signature(tmp_path: Path) -> None:
    file, draft = tmp_path / "act.json", draft_suspension("7.3", "flood")
    write_act(file, draft)
    theirs = ActDraft(draft.type, draft.message, draft.documents, signatures=("0x" + "11" * 65,))
    write_act(file, theirs, replacing=draft)
    ours = ActDraft(draft.type, draft.message, draft.documents, signatures=("0x" + "22" * 65,))
    with pytest.raises(ActFileError, match="changed while it was signed"):
        write_act(file, ours, replacing=draft)
    assert read_act(file) == theirs


def test_a_link_at_the_name_of_a_temporary_file_is_not_followed(tmp_path: Path) -> None:
    """The directory of a request is its department's, which knows how this process is numbered."""
    mine = tmp_path / "mine"
    mine.write_text("a key")
    (tmp_path / f".act.json.{os.getpid()}.new").symlink_to(mine)
    write_act(tmp_path / "act.json", draft_suspension("7.3", "flood"))
    assert mine.read_text() == "a key"
