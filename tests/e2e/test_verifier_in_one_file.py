"""The verifier in one file: with only ``cryptography`` it gives the command's verdicts, and runs nothing else of
the project."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import pytest

from api.cli.main import main
from api.demo.participants import AUDIT
from ledger.audit.verify.packed import MAIN, packed
from ledger.audit.verify.receipts import HEADER
from ledger.small_files import MOST_BYTES
from tests.simulators.city import open_city

NEEDED = ("cryptography", "cffi", "_cffi_backend", "pycparser")


@dataclass
class OneFileVerifier:
    """The file, a bundle and a receipt of a city, its trust file, and a folder that contains only
    ``cryptography``."""

    file: Path
    bundle: Path
    receipt: Path
    trust: Path
    packages: Path

    def __call__(
        self, *arguments: object, place: Path | None = None, packages: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        base = getattr(sys, "_base_executable", sys.executable)
        return subprocess.run(
            [base, "-S", "-s", "-B", str(self.file), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=place or self.packages,
            env={"PYTHONPATH": str(packages or self.packages), "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"},
        )


@pytest.fixture(scope="module")
def one_file(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> OneFileVerifier:
    work = tmp_path_factory.mktemp("one_file")
    home = Path(shutil.copytree(founded, work / "city"))
    city = open_city(home)
    civic = city.of(AUDIT).civic
    civic.export(work / "bundle.tar")
    (work / "one.tlog-proof").write_text(str(civic.receipt(3)))
    city.service.stop()
    (work / "civic-verify.pyz").write_bytes(packed())
    (work / "packages").mkdir()
    for name in NEEDED:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        origin = Path(found.origin)
        origin = origin.parent if origin.name == "__init__.py" else origin
        (work / "packages" / origin.name).symlink_to(origin)
    return OneFileVerifier(
        work / "civic-verify.pyz",
        work / "bundle.tar",
        work / "one.tlog-proof",
        home / "trust.json",
        work / "packages",
    )


def verifier_output(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return dict(json.loads(done.stdout))


def test_a_bundle_is_verified_as_by_the_command(
    one_file: OneFileVerifier, capsys: pytest.CaptureFixture[str]
) -> None:
    done = one_file(one_file.bundle, "--trust", one_file.trust, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = verifier_output(done)
    assert said["verdict"] == "verified"
    assert main(["audit", "verify", str(one_file.bundle), "--trust", str(one_file.trust), "--json"]) == 0
    command = json.loads(capsys.readouterr().out)
    for name in ("size", "root", "leaves_hashed", "archived", "findings", "origin", "verdict"):
        assert said[name] == command[name]


def test_what_needs_more_than_cryptography_is_named_as_not_checked(one_file: OneFileVerifier) -> None:
    done = one_file(one_file.bundle, "--trust", one_file.trust)
    assert "anchor not checked" in done.stdout
    assert "signature" in done.stdout


def test_without_a_trust_file_nothing_is_called_verified(one_file: OneFileVerifier) -> None:
    done = one_file(one_file.bundle, "--json")
    assert (done.returncode, verifier_output(done)["verdict"]) == (0, "self-consistent only")


def test_a_receipt_is_recognised_and_verified(one_file: OneFileVerifier) -> None:
    done = one_file(one_file.receipt, "--trust", one_file.trust, "--json")
    assert (done.returncode, verifier_output(done)["verdict"], verifier_output(done)["index"]) == (
        0,
        "verified",
        3,
    )


def test_a_changed_entry_is_named(one_file: OneFileVerifier, tmp_path: Path) -> None:
    with tarfile.open(one_file.bundle) as tar:
        tar.extractall(tmp_path / "bundle", filter="data")
    file = next(path for path in sorted((tmp_path / "bundle" / "entries").rglob("*")) if path.is_file())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    done = one_file(tmp_path / "bundle", "--trust", one_file.trust, "--json")
    assert (done.returncode, verifier_output(done)["verdict"]) == (1, "failed")
    assert verifier_output(done)["findings"]


def test_verifier_output_is_available_in_chinese(one_file: OneFileVerifier) -> None:
    done = one_file(one_file.bundle, "--trust", one_file.trust, "--lang", "zh")
    assert done.stdout.startswith("已对照信任文件核验。")
    assert "核验" in one_file("--lang", "zh", "--help").stdout


REFUSED = {
    "nowhere": (("nowhere",), 2, "usage"),
    "no path": ((), 2, "usage"),
    "unknown option": (("{bundle}", "--kept", "x"), 2, "usage"),
    "older of tiles": (("{tiles}", "--older", "{bundle}"), 2, "usage"),
    "no trust file": (("{bundle}", "--trust", "{tiles}/none.json"), 1, "audit.trust"),
    "hostile trust file": (("{bundle}", "--trust", "{tiles}/trust.json"), 1, "audit.trust"),
    "a name that is too long": (("n" * 300,), 1, "file.unusable"),
    "a receipt that does not end": (("{tiles}/long.tlog-proof",), 1, "file.unusable"),
}
"""Arguments, exit code and error code, as of ``civic audit verify`` or ``civic audit receipt verify``."""


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_checked_is_said_with_a_code_and_as_by_the_command(
    one_file: OneFileVerifier, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tile").mkdir()
    (tmp_path / "trust.json").write_text(json.dumps({"\u202e\u009b2J\ud800": 1}))
    with (tmp_path / "long.tlog-proof").open("wb") as file:
        file.write(HEADER.encode())
        file.truncate(MOST_BYTES + 1)
    words, code, error = REFUSED[what]
    given = [word.format(bundle=one_file.bundle, tiles=tmp_path) for word in words]
    done = one_file(*given, "--json")
    assert (done.returncode, verifier_output(done)["error"]["code"], done.stderr) == (code, error, "")
    assert done.stdout.isascii()
    command = ("audit", "receipt", "verify") if "receipt" in what else ("audit", "verify")
    assert main([*command, *given, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["error"]["code"] == error


def test_a_refusal_is_one_line_of_standard_error_in_chinese_too(one_file: OneFileVerifier) -> None:
    done = one_file("nowhere", "--lang", "zh")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "找不到：nowhere [usage]\n")


def test_a_pinned_block_that_is_another_fails_without_the_packages_for_proofs(
    one_file: OneFileVerifier, tmp_path: Path
) -> None:
    with tarfile.open(one_file.bundle) as tar:
        anchors = json.load(tar.extractfile("anchors.json") or pytest.fail("a bundle has anchors"))
    block = next(anchor for anchor in anchors if anchor["proof"])
    for pinned, verdict in ((block["block_hash"], "verified"), ("0x" + "ab" * 32, "failed")):
        document = json.loads(one_file.trust.read_text()) | {"blocks": {str(block["block_number"]): pinned}}
        (tmp_path / "trust.json").write_text(json.dumps(document))
        said = verifier_output(one_file(one_file.bundle, "--trust", tmp_path / "trust.json", "--json"))
        assert (said["verdict"], said["anchor"]) == (verdict, "anchor not checked")


def test_a_receipt_is_not_called_a_forged_bundle(
    one_file: OneFileVerifier, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "verify", str(one_file.receipt), "--json"]) == 2
    assert "receipt verify" in json.loads(capsys.readouterr().out)["error"]["hint"]


def test_closed_pipe_and_narrow_encoding_do_not_end_a_check(one_file: OneFileVerifier) -> None:
    command = [sys.executable, str(one_file.file), str(one_file.bundle), "--lang", "zh"]
    env = {"PYTHONPATH": str(one_file.packages), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    out = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    assert out.stdout is not None
    out.stdout.close()
    assert (out.communicate(timeout=60)[1], out.returncode) == ("", 1)


def test_missing_packages_are_reported_in_one_line(one_file: OneFileVerifier, tmp_path: Path) -> None:
    done = one_file(one_file.bundle, place=tmp_path, packages=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("civic-verify: the package cryptography is needed")
    assert len(done.stderr.splitlines()) == 1


def test_first_module_parses_on_every_python() -> None:
    """An older Python reports the version it needs, before it parses newer syntax."""
    ast.parse(MAIN, feature_version=(3, 7))


def test_the_same_sources_give_the_same_file_with_any_compressor() -> None:
    data = packed()
    assert data == packed()
    assert len(data) < 300_000
    assert {one.compress_type for one in ZipFile(BytesIO(data)).infolist()} == {ZIP_STORED}
