"""The cost of a check of a stranger's files: it neither fills the auditor's memory nor writes elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.audit.verify import verify_bundle
from ledger.audit.verify.tiles import from_directory, verify_directory, verify_kept
from ledger.audit.verify.verdict import Verdict
from tests.ledger.audit.by_hand import Forgery, Key, canonical, chain, h, head
from tests.ledger.audit.conftest import ORIGIN as PLACE

ORIGIN = str(PLACE)
KEY = Key(ORIGIN)
MANY = [b'{"entry":%d}' % n for n in range(1 << 16)]
FEW = MANY[:7]
CHECK = """
import re, sys
from ledger.audit.verify import verify_bundle
print(verify_bundle(sys.argv[1]).lines())
with open("/proc/self/status") as status:
    print(int(re.search("VmHWM:\\s*(\\d+)", status.read())[1]) // 1024)
"""


def write_tiles(folder: Path, leaves: list[bytes]) -> Path:
    (folder / "tile/0").mkdir(parents=True)
    (folder / "tile/entries").mkdir()
    hashes = [h(0, leaf) for leaf in leaves]
    (folder / "checkpoint").write_text(head(ORIGIN, hashes, KEY))
    for name, data in (
        ("0", b"".join(hashes)),
        ("entries", b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)),
    ):
        (folder / f"tile/{name}/000.p").mkdir()
        (folder / f"tile/{name}/000.p/{len(leaves)}").write_bytes(data)
    return folder


@pytest.mark.parametrize("content", ["zeros", "line ends"])
def test_long_file_of_entries_uses_bounded_memory(tmp_path: Path, content: str) -> None:
    """Regression: the verifier read a sparse file of four gigabytes at once."""
    bundle = Forgery(ORIGIN, MANY, chain(ORIGIN, (KEY, 0)), (KEY,)).write(tmp_path / "bundle")
    entries = bundle / "entries/000000000000.ndjson"
    if content == "zeros":
        os.truncate(entries, 1 << 32)
    else:
        entries.write_bytes(entries.read_bytes() + b"\n" * (1 << 26))
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(bundle)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
    )
    assert done.stdout.startswith("['failed"), done.stderr
    assert int(done.stdout.split()[-1]) < 400, "megabytes"


@pytest.mark.parametrize("name", ["manifest.json", "history.json", "anchors.json", "timestamps.json"])
def test_millions_of_empty_lists_use_bounded_memory(tmp_path: Path, name: str) -> None:
    """Regression: 251 MiB of them took the verifier 4.2 GiB and a minute."""
    bundle = Forgery(ORIGIN, FEW, chain(ORIGIN, (KEY, 0)), (KEY,)).write(tmp_path / "bundle")
    broad = b"[\n" + b",\n".join([b"  []"] * 12_000_000) + b"\n]\n"
    (bundle / name).write_bytes(broad)
    if name != "manifest.json":
        manifest = json.loads((bundle / "manifest.json").read_bytes())
        manifest["digests"][name] = hashlib.sha256(broad).hexdigest()
        (bundle / "manifest.json").write_bytes(canonical(manifest))
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(bundle)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "bundle.malformed" in done.stdout, done.stderr
    assert int(done.stdout.split()[-1]) < 400, "megabytes"


def test_lines_are_read_the_same_wherever_a_block_ends(tmp_path: Path) -> None:
    leaves = [b'{"entry":"%s"}' % (b"x" * (n * 7919 % 60_000)) for n in range(200)]
    for name in ("bundle", "b"):
        bundle = Forgery(ORIGIN, leaves, chain(ORIGIN, (KEY, 0)), (KEY,)).write(tmp_path / name)
    assert verify_bundle(bundle).leaves_hashed == 200
    file = bundle / "entries/000000000000.ndjson"
    good = file.read_bytes()
    for changed, code in (
        (good[:-1], "entry.changed"),
        (good + b"x", "entry.changed"),
        (good + b"x\n", "entry.appended"),
        (good + b"\n" * 500, "entry.appended"),
        (good[: good.rindex(b"\n", 0, -1) + 1], "entry.truncated"),
        (good.replace(b'"entry"', b'"Entry"', 1), "entry.changed"),
    ):
        file.write_bytes(changed)
        assert [finding.code for finding in verify_bundle(bundle).findings] == [code]


def test_tile_with_too_many_entries_is_refused_before_parsing(tmp_path: Path) -> None:
    tiles = write_tiles(tmp_path / "tiles", FEW)
    assert verify_directory(tiles).ok
    (tiles / "tile/entries/000.p/7").write_bytes(bytes(16 << 20))
    verdict = verify_directory(tiles)
    assert (verdict.word, verdict.findings[0].code) == ("failed", "entry.changed")


def check(tiles: Path, kept: Path) -> Verdict:
    return verify_kept(kept, from_directory(tiles))


def test_a_folder_to_resume_from_does_not_write_through_links(tmp_path: Path) -> None:
    """The folder came with the log, from the same untrusted source."""
    tiles, mine = write_tiles(tmp_path / "tiles", FEW), tmp_path / "mine"
    mine.mkdir()
    (mine / "notes").write_text("mine")
    kept = tmp_path / "kept"
    (kept / "tile/0/000.p").mkdir(parents=True)
    (kept / "tile/0/000.p/7.part").symlink_to(mine / "notes")
    assert check(tiles, kept).ok
    assert (mine / "notes").read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/tile").symlink_to(mine)
    assert check(tiles, tmp_path / "other").findings[0].code == "bundle.missing"
    assert [path.name for path in mine.rglob("*") if path.is_file()] == ["notes"]


def test_a_record_to_resume_from_does_not_write_through_links_or_wait_at_a_pipe(tmp_path: Path) -> None:
    bundle = Forgery(ORIGIN, FEW, chain(ORIGIN, (KEY, 0)), (KEY,)).write(tmp_path / "bundle")
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "checked.json.part").symlink_to(tmp_path / "notes")
    assert verify_bundle(bundle, resume=tmp_path / "checked.json").ok
    assert (tmp_path / "notes").read_text() == "mine"
    (tmp_path / "checked.json").unlink()
    os.mkfifo(tmp_path / "checked.json")
    assert verify_bundle(bundle, resume=tmp_path / "checked.json").ok
