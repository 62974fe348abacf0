"""What a command says in words names the thing, whole, as it was given."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from api.cli.commands import heads
from api.cli.lost_acts import lost_act_words, undecided_words
from api.cli.output import show

ACT = "0x" + "0a" * 32


@pytest.mark.parametrize(
    ("department", "target", "said"),
    [
        (7, "", f"lost: Granted {ACT} of department 7: not there any more"),
        (7, "7.1", "lost: Granted 7.1 of department 7: not there any more"),
        (0, "", f"lost: Granted {ACT} of the council: not there any more"),
    ],
)
def test_a_lost_act_is_named_with_who_did_it(department: int, target: str, said: str) -> None:
    act = {"state": "gone", "event": "Granted", "department": department, "target": target, "act": ACT}
    assert lost_act_words(act) == said


def test_the_council_is_no_department_zero() -> None:
    act = {
        "message": "Pause",
        "department": 0,
        "denies": ["7.1"],
        "state": "waiting",
        "why": "act.not-in-bundle",
    }
    assert "of the council: it denies 7.1" in undecided_words(act)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"state": "sent-again"}, "sent to the chain again; until it is there 7.1 stays denied"),
        ({"state": "waiting", "why": "act.not-in-bundle"}, "handed in again (civic submit FILE)"),
        (
            {"state": "waiting", "why": "act.expired"},
            "its deadline has passed; it denies 7.1 until the act is signed anew",
        ),
        ({"state": "waiting", "why": "act.paused"}, "the chain does not take it (act.paused); it denies 7.1"),
    ],
)
def test_pending_lost_act_names_the_next_step(state: dict[str, str], said: str) -> None:
    assert said in undecided_words({"message": "Revoke", "department": 7, "denies": ["7.1"], **state})


def test_an_object_in_an_answer_is_shown_by_its_members(capsys: pytest.CaptureFixture[str]) -> None:
    show({"contracts": {"SharingLedger": "0xabc"}}, False, "Ready.")
    assert capsys.readouterr().out.splitlines() == ["Ready.", "contracts SharingLedger  0xabc"]


@pytest.mark.parametrize("name", ["missing/x.json", "a-file/x.json"])
def test_a_file_that_cannot_be_written_is_named_as_it_was_given(tmp_path: Path, name: str) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises((FileNotFoundError, NotADirectoryError)) as failed:
        heads._write(tmp_path / name, {})
    assert failed.value.filename == str(tmp_path / name)
    assert failed.value.errno in (errno.ENOENT, errno.ENOTDIR)
    assert not os.path.exists(tmp_path / "missing")
