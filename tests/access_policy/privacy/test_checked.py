"""Only the content with the digest of a source is read, whatever happens to the file and its path."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from access_policy.privacy.execution import checked
from access_policy.privacy.execution.checked import KnownFiles
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.source import Source, SourceChanged, SourceMissing
from tests.access_policy.privacy.conftest import ROWS, SCHEMA, Register, write_register

Attack = Callable[[Path], None]


def the_very_file(path: Path) -> Source:
    kind = "csv" if path.suffix == ".csv" else "parquet"
    return Source(str(path), kind, SCHEMA, hashlib.sha256(path.read_bytes()).hexdigest())  # type: ignore[arg-type]


def rows(scanner: Scanner, register: Register, source: Source) -> int:
    with scanner.scan(register.plan(), source) as scan:
        return sum(batch.num_rows for batch in scan)


def changed(path: Path) -> bytes:
    """The same length, with one other id."""
    content = path.read_bytes()
    assert b"C001" in content
    return content.replace(b"C001", b"C999", 1)


def in_place_with_times_put_back(path: Path) -> None:
    before = path.stat()
    path.write_bytes(changed(path))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(changed(path))
    before = path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def hard_link(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(changed(path))
    path.unlink()
    os.link(other, path)


def link_beside(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(changed(path))
    path.unlink()
    path.symlink_to(other)


def link_outside(path: Path) -> None:
    other = path.parent.parent.parent / "outside"
    other.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(other)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 30)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def lengthened(path: Path) -> None:
    with path.open("ab") as file:
        file.write(path.read_bytes()[-60:])


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def folder_of_folder(path: Path) -> None:
    kept = path.parent.with_name("kept")
    path.parent.rename(kept)
    shutil.copytree(kept, path.parent)
    path.write_bytes(changed(path))


ATTACKS: list[Attack] = [
    in_place_with_times_put_back,
    replaced,
    hard_link,
    link_beside,
    link_outside,
    truncated,
    emptied,
    lengthened,
    pipe,
    folder,
    folder_of_folder,
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "data" / "7.1"
    directory.mkdir(parents=True)
    write_register(directory)
    return directory


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("read_before", [True, False], ids=["while-serving", "before-the-first-read"])
def test_a_changed_file_is_not_read(
    attack: Attack, read_before: bool, place: Path, register: Register
) -> None:
    source = the_very_file(place / "register.csv")
    with Scanner([place.parent], size=1, timeout=30) as scanner:
        if read_before:
            assert rows(scanner, register, source) == 120
        attack(place / "register.csv")
        with pytest.raises(SourceChanged):
            rows(scanner, register, source)


def test_an_exchanged_parquet_file_is_not_read(place: Path, register: Register) -> None:
    source = the_very_file(place / "register.parquet")
    with Scanner([place.parent], size=1, timeout=30) as scanner:
        assert rows(scanner, register, source) == 120
        shutil.copy(place / "register.csv", place / "register.parquet")
        with pytest.raises(SourceChanged):
            rows(scanner, register, source)


def test_restored_source_file_is_read_again(place: Path, register: Register) -> None:
    file = place / "register.csv"
    source, good = the_very_file(file), file.read_bytes()
    with Scanner([place.parent], size=1, timeout=30) as scanner:
        file.write_bytes(changed(file))
        with pytest.raises(SourceChanged):
            rows(scanner, register, source)
        file.write_bytes(good)
        assert rows(scanner, register, source) == 120
        file.unlink()
        with pytest.raises(SourceMissing):
            rows(scanner, register, source)


@pytest.mark.parametrize("attack", [in_place_with_times_put_back, replaced, truncated, hard_link])
def test_change_during_a_scan_ends_it(attack: Attack, place: Path, register: Register) -> None:
    source = the_very_file(place / "register.csv")
    with Scanner([place.parent], size=1, timeout=30) as scanner:
        with scanner.scan(register.plan(), source) as scan:
            attack(place / "register.csv")
            with pytest.raises(SourceChanged):
                list(scan)
        # The process is released and continues.
        write_register(place)
        assert rows(scanner, register, the_very_file(place / "register.csv")) == 120


def test_the_hashed_file_is_read_and_not_its_replacement(
    place: Path, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is replaced after the hash and restored after the scan, so the file's times do not
    change."""
    file = place / "register.csv"
    source, kept = the_very_file(file), place.with_name("kept")
    opened = KnownFiles.open

    def exchange_after_the_hash(files: KnownFiles, path: Path, sha256: str) -> checked.CheckedFile:
        found = opened(files, path, sha256)
        place.rename(kept)
        shutil.copytree(kept, place)
        file.write_bytes(changed(file))
        return found

    with Scanner([place.parent], size=1, timeout=30) as scanner:
        monkeypatch.setattr(KnownFiles, "open", exchange_after_the_hash)
        with scanner.scan(register.plan(), source) as scan:
            names = {row["citizen id"] for batch in scan for row in batch.to_pylist()}
    assert "C001" in names
    assert "C999" not in names


def test_a_file_is_hashed_once_and_again_when_it_was_touched(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []
    real = checked.digest_of
    monkeypatch.setattr(checked, "digest_of", lambda handle: hashed.append(handle) or real(handle))
    file = place / "register.csv"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    known = KnownFiles()
    for _ in range(3):
        known.open(file, digest).close()
    assert len(hashed) == 1
    file.chmod(0o600 if file.stat().st_mode & 0o077 else 0o644)
    known.open(file, digest).close()
    assert len(hashed) == 2


def test_engine_cache_is_bound_to_the_content(place: Path, register: Register) -> None:
    """One path, one modification time, two files: the engine caches the metadata of a Parquet file by its
    path."""
    file = place / "register.parquet"
    with Scanner([place.parent], size=1, timeout=30) as scanner:
        for count in (120, 70, 120):
            pq.write_table(pa.Table.from_pylist(ROWS[:count]), file)
            os.utime(file, ns=(1_700_000_000_000_000_000, 1_700_000_000_000_000_000))
            assert rows(scanner, register, the_very_file(file)) == count


def test_too_many_open_files_is_not_reported_as_a_changed_source(tmp_path: Path) -> None:
    """Regression: it was reported as a changed file."""
    path = tmp_path / "source.csv"
    path.write_bytes(b"id\n1\n")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, before[1]))
    try:
        with pytest.raises(OSError) as refused:
            KnownFiles().open(path, sha256)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert refused.value.errno == errno.EMFILE
    KnownFiles().open(path, sha256).close()


def test_too_few_file_descriptors_is_not_reported_as_a_worker_failure(
    place: Path, register: Register
) -> None:
    """One file descriptor is free: the source uses it, and none is left to pass it to the worker."""
    file = place / "register.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), file)
    source, before, taken = the_very_file(file), resource.getrlimit(resource.RLIMIT_NOFILE), list[int]()
    with Scanner([place.parent], size=1, timeout=30) as scanner:
        scanner.warm()
        assert rows(scanner, register, source) == len(ROWS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        try:
            with pytest.raises(OSError):  # noqa: PT012
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            os.close(taken.pop())
            with pytest.raises(OSError) as refused:
                rows(scanner, register, source)
        finally:
            for one in taken:
                os.close(one)
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert refused.value.errno == errno.EMFILE
        assert rows(scanner, register, source) == len(ROWS)
