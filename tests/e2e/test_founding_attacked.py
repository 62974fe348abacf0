"""A founding, an enrolment and an admission that are given bad input, killed, or done twice at once: nothing is half made, no
named key is lost, and what the council signs is what it was shown."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.protocol.keystore import open_secp256k1
from api.protocol.trust import Trust
from api.sdk.acts import read_act, sign_act
from ledger.chain.signers import sign_digest
from tests.e2e.test_founding import CIVIC, Folder
from tests.simulators.silent_proxy import SilentProxy

INIT = "civic init --home city --bureau bureau --passphrase-file city.pass"
ENROLL = (
    "civic department enroll 2 --url http://127.0.0.1:8600 --trust city/trust.json --name-zh 规划局 --name-en Planning"
    " --profile {} --passphrase-file city.pass"
)
ADMIT = "civic department admit {} --key council --profile bureau --passphrase-file city.pass --json"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    (tmp_path / "city.pass").write_text("secret")
    made = Folder(tmp_path)
    yield made
    made.stop()


def names(folder: Folder) -> list[str]:
    return sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*"))


@pytest.mark.parametrize(
    "step",
    [
        lambda path: list(path.glob(".bureau.*.new/keys/admin.json")),
        lambda path: list(path.glob(".city.*.new/trust.json")),
        lambda path: (path / "city/civic.json").exists(),
    ],
    ids=["first key", "chain", "city"],
)
def test_a_killed_founding_is_half_nowhere(folder: Folder, step: Callable[[Path], object]) -> None:
    """Either the city exists with every act and key, or its command is repeated; the second run says which."""
    killed = subprocess.Popen(
        [CIVIC, *INIT.split()[1:], "--admission-delay", "0"],
        cwd=folder.path,
        env=folder.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not step(folder.path):
        assert time.monotonic() < until
        assert killed.poll() is None
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    if (folder.path / "city").exists():
        again = json.loads(folder.run(f"{INIT} --json", code=1))["error"]
        assert again["code"] == "home.exists"
        submit = again["hint"].split(": ")[1]
        folder.serve("CIVIC_PASSPHRASE_FILE=city.pass civic serve --home city")
        assert json.loads(folder.run(f"{submit} --wait 60 --json"))["state"] == "recorded"
        return
    if (folder.path / "bureau").exists():
        again = json.loads(folder.run(f"{INIT} --json", code=1))["error"]
        assert again["code"] == "profile.invalid"
        assert again["hint"].startswith("move bureau away")
        (folder.path / "bureau").rename(folder.path / "away")
    folder.run(INIT)


def test_two_foundings_at_once_make_one_city(folder: Folder) -> None:
    both = [
        subprocess.Popen(
            [CIVIC, *INIT.split()[1:], "--json"],
            cwd=folder.path,
            env=folder.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [json.loads(one.communicate(timeout=120)[0]) for one in both]
    assert ["error" in one for one in answers].count(True) == 1
    made = next(one for one in answers if "error" not in one)
    admission = read_act(folder.path / "bureau/enrolment.json")
    trust = Trust.read(folder.path / "city/trust.json")
    council = json.loads((folder.path / "bureau/keys/council.json").read_text())["civic"]["public"]
    assert council in admission.signers(trust)
    assert made["trust"] == "city/trust.json"
    assert not list(folder.path.glob(".*.new"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """A city whose council of one is in the bureau's profile, and a department's request at planning/enrolment.json."""
    folder = Folder(tmp_path_factory.mktemp("served"))
    (folder.path / "city.pass").write_text("secret")
    folder.run(f"{INIT} --admission-delay 0")
    folder.serve("CIVIC_PASSPHRASE_FILE=city.pass civic serve --home city")
    folder.run(ENROLL.format("planning"))
    yield folder
    folder.stop()


def test_a_request_with_thousands_of_signatures_is_refused_at_once(served: Folder) -> None:
    file = served.path / "planning/enrolment.json"
    document = json.loads(file.read_text())
    bad = served.path / "planning/many.json"
    bad.write_text(json.dumps(document | {"signatures": document["signatures"] * 50_000}))
    began = time.monotonic()
    refused = json.loads(served.run(ADMIT.format(bad), code=1))
    assert refused["error"]["code"] == "act.file"
    assert time.monotonic() - began < 30


def test_waiting_for_an_admission_does_not_ask_all_the_time(folder: Folder) -> None:
    proxy = Counting(("127.0.0.1", folder.port))
    folder.environment["CIVIC_PUBLIC_URL"] = f"http://127.0.0.1:{proxy.port}"
    folder.run(f"{INIT} --admission-delay 3000")
    folder.serve("CIVIC_PASSPHRASE_FILE=city.pass civic serve --home city")
    enroll = ENROLL.format("planning").replace(":8600", f":{proxy.port}")
    folder.run(enroll)
    before = proxy.connections
    said = json.loads(folder.run(f"{ADMIT.format('planning/enrolment.json')} --wait 12"))
    assert said["state"] == "received"
    assert proxy.connections - before < 12
    proxy.close()


class Counting(SilentProxy):
    """Counts the connections that it takes."""

    @property
    def connections(self) -> int:
        return len(self._pairs)


def test_a_proposal_without_the_seats_says_that_they_have_to_sign(served: Folder) -> None:
    file = served.path / "unsigned.json"
    document = json.loads((served.path / "planning/enrolment.json").read_text())
    file.write_text(json.dumps(document | {"signatures": []}))
    said = subprocess.run(
        ["bash", "-c", ADMIT.format(file)],
        cwd=served.path,
        env=served.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "the service admits" not in said.stderr
    assert json.loads(said.stdout)["ready_at"]


def test_a_stranger_among_the_signers_is_named_before_anything_is_signed(served: Folder) -> None:
    file = served.path / "planning/enrolment.json"
    draft, trust = read_act(file), Trust.read(served.path / "city/trust.json")
    steward = open_secp256k1(served.path / "planning/keys/steward.json", "secret")
    assert sign_act(draft, trust, [steward]) == draft, "the officers signed already"
    stranger = "0x" + sign_digest(b"\x07" * 32, draft.digest(trust)).hex()
    document = json.loads(file.read_text())
    document["signatures"].append(stranger)
    file = served.path / "stranger.json"
    file.write_text(json.dumps(document))
    refused = json.loads(served.run(ADMIT.format(file), code=1))
    assert refused["error"]["code"] == "act.signer-unknown"
    assert json.loads(file.read_text()) == document


def test_a_department_enrols_into_an_empty_directory_behind_a_link(served: Folder) -> None:
    (served.path / "disk").mkdir()
    (served.path / "linked").symlink_to("disk")
    served.run(ENROLL.format("linked"))
    assert (served.path / "disk/enrolment.json").exists()
    assert (served.path / "linked").is_symlink()
