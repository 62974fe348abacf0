"""Uploads: an unexpected file is refused before a byte of it is stored."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.demo.city import Actor, City
from api.demo.datasets import dataset_path
from api.demo.participants import PLANNING, PUBLIC_SECURITY
from api.protocol.http_signatures import digest_field
from api.sdk.drafts import draft_version, sign_act, source_of, submit
from api.sdk.errors import ServiceProblem
from tests.simulators.city import open_city
from tests.simulators.raw_http import Call, digest_of
from tests.simulators.slow_reader import connect

AIR = dataset_path("air_quality").read_bytes()


def owner_of(city: City) -> Actor:
    return next(actor for actor in city.actors.values() if actor.part.slug == "environment")


def written(home: Path) -> int:
    """Bytes in the data folder, files that are still arriving included."""
    return sum(file.stat().st_size for file in (home / "data").rglob("*") if file.is_file())


class Watch:
    """The maximum of bytes that were added to the data folder while the block ran."""

    def __init__(self, home: Path) -> None:
        self._home, self._stop = home, threading.Event()
        self.most = 0

    def __enter__(self) -> Watch:
        self._first = written(self._home)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._stop.is_set():
            with suppress(FileNotFoundError):  # A file was deleted while the folder was read.
                self.most = max(self.most, written(self._home) - self._first)
            time.sleep(0.002)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def begin_upload(city: City, actor: Actor, asset: str, digest: bytes, *, length: int | None) -> socket.socket:
    """An upload of which only the head was sent; its body is chunked if ``length`` is None."""
    key = actor.civic.transport.key
    assert key is not None
    call = Call(
        key, city.service.url, target=f"/v1/datasets/{asset}/source", method="PUT",
        digest=(digest_field(digest),),
    )  # fmt: skip
    lines = [f"PUT {call.target} HTTP/1.1", f"Host: {urlsplit(call.base).netloc}"]
    lines += [f"{name}: {value}" for name, value in call.lines()]
    lines += ["Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}", "", ""]
    line = connect(city.service.url)
    line.sendall("\r\n".join(lines).encode())
    return line


def code_of(line: socket.socket) -> str:
    """The code of the answer; empty if it is not a problem."""
    arrived = b""
    with suppress(OSError):
        while not arrived.rstrip().endswith(b"}") and (part := line.recv(1 << 16)):
            arrived += part
    return str(json.loads(arrived.partition(b"\r\n\r\n")[2]).get("code", ""))


def put(
    city: City, actor: Actor, asset: str, body: bytes, declared_digest: bytes, *, length: int | None
) -> str:
    """Upload a body by hand, in chunks if ``length`` is None; return the code of the answer."""
    with begin_upload(city, actor, asset, declared_digest, length=length) as line:
        with suppress(OSError):  # The service may answer and close before the body has arrived.
            for at in range(0, len(body), 1 << 16):
                chunk = body[at : at + (1 << 16)]
                line.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk) if length is None else chunk)
            if length is None:
                line.sendall(b"0\r\n\r\n")
        return code_of(line)


@pytest.mark.parametrize(
    ("asset", "code"),
    [("9.99", "asset.unknown"), ("another's", "caller.not-holder"), ("6.1", "source.mismatch")],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_unexpected_upload_is_not_stored(shared_city: City, asset: str, code: str, chunked: bool) -> None:
    body = os.urandom(8 << 20)
    if asset == "another's":
        asset = next(one for one in shared_city.assets.values() if not one.startswith("6."))
    with Watch(shared_city.home) as watch:
        answer = put(
            shared_city, owner_of(shared_city), asset, body, hashlib.sha256(body).digest(),
            length=None if chunked else len(body),
        )  # fmt: skip
    assert answer == code
    assert watch.most == 0


def test_upload_is_stopped_at_the_signed_size(shared_city: City) -> None:
    with Watch(shared_city.home) as watch:
        answer = put(
            shared_city, owner_of(shared_city), "6.1", AIR + os.urandom(8 << 20),
            hashlib.sha256(AIR).digest(), length=None,
        )  # fmt: skip
    assert answer == "digest.mismatch"
    assert watch.most <= len(AIR)
    assert not list((shared_city.home / "data").glob(".incoming-*"))


@pytest.mark.parametrize("body", [b"", AIR[:-1], AIR[:-1] + b"x", b"x" + AIR])
def test_a_body_that_is_not_the_signed_file_is_refused(shared_city: City, body: bytes) -> None:
    answer = put(shared_city, owner_of(shared_city), "6.1", body, hashlib.sha256(AIR).digest(), length=None)
    assert answer == "digest.mismatch"
    assert not list((shared_city.home / "data").glob(".incoming-*"))


def test_a_declared_length_other_than_the_signed_size_is_refused_at_once(shared_city: City) -> None:
    answer = put(
        shared_city, owner_of(shared_city), "6.1", b"", hashlib.sha256(AIR).digest(), length=len(AIR) + 1
    )
    assert answer == "source.mismatch"


def test_a_captured_upload_is_not_kept_again(shared_city: City) -> None:
    owner = owner_of(shared_city)
    call = owner.civic.transport.prepare(
        "PUT", "/v1/datasets/6.1/source", body=AIR, body_digest=digest_of(AIR),
        headers={"Content-Type": "application/octet-stream"},
    )  # fmt: skip
    codes = []
    for _ in range(2):
        with Watch(shared_city.home) as watch, owner.civic.transport.exchange(call) as stream:
            codes.append(json.loads(stream.read()).get("code"))
    assert codes == [None, "call.replayed"]
    assert watch.most == 0


def test_client_with_a_wrong_large_file_gets_the_reason(shared_city: City, tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    large.write_bytes(os.urandom(64 << 20))
    with pytest.raises(ServiceProblem) as refused:
        shared_city.of(PLANNING).civic.upload("6.1", large)
    assert refused.value.code == "caller.not-holder"
    with pytest.raises(ServiceProblem) as wrong:
        owner_of(shared_city).civic.upload("6.1", large)
    assert wrong.value.code == "source.mismatch"


@pytest.fixture
def narrow_city(home: Path) -> Iterator[City]:
    """A city with a quota below the size of its departments' files, which were uploaded under a higher
    quota."""
    city = open_city(home, CIVIC_DEPARTMENT_BYTES=str(len(AIR) - 1))
    yield city
    city.service.stop()


def test_data_beyond_the_department_s_quota_are_refused(narrow_city: City) -> None:
    with pytest.raises(ServiceProblem) as refused:
        owner_of(narrow_city).civic.upload("6.1", dataset_path("air_quality"))
    assert (refused.value.status, refused.value.code) == (413, "source.quota")


@pytest.fixture
def crowded_city(home: Path) -> Iterator[City]:
    """A city that accepts two uploads at once, where one department may have both."""
    city = open_city(home, CIVIC_UPLOADS="2", CIVIC_DEPARTMENT_UPLOADS="2")
    yield city
    city.service.stop()


@pytest.mark.alone
def test_slow_uploads_of_one_department_leave_a_place_for_others(crowded_city: City) -> None:
    city, owner, other = crowded_city, owner_of(crowded_city), crowded_city.of(PUBLIC_SECURITY)
    people = city.assets["population_register"]
    content = dataset_path("population_register").read_bytes()
    slow = [begin_upload(city, owner, "6.1", hashlib.sha256(AIR).digest(), length=len(AIR)) for _ in range(2)]
    for line in slow:
        line.sendall(AIR[:1])
    time.sleep(0.5)
    with begin_upload(city, owner, "6.1", hashlib.sha256(AIR).digest(), length=len(AIR)) as third:
        assert code_of(third) == "call.too-many"
    with begin_upload(city, other, people, hashlib.sha256(content).digest(), length=len(content)) as first:
        first.sendall(content[:-1])
        time.sleep(0.5)
        with begin_upload(
            city, other, people, hashlib.sha256(content).digest(), length=len(content)
        ) as second:
            assert code_of(second) == "service.busy"
        first.sendall(content[-1:])
        assert code_of(first) == ""
    assert httpx.get(city.service.url + "/v1/status", timeout=2).status_code == 200
    for line in slow:
        line.sendall(AIR[1:])
        assert code_of(line) == ""
        line.close()
    owner.civic.upload("6.1", dataset_path("air_quality"))


ROWS = 1 << 20


@pytest.fixture(scope="module")
def slow_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred kilobytes of Parquet that expand to many million invalid times."""
    names = dataset_path("air_quality").read_text().partition("\n")[0].split(",")
    cells = dict.fromkeys(names, pa.nulls(ROWS, pa.string()))
    table = pa.table(cells | {"measured_at": pa.array(["12" * 20, "ab" * 20] * (ROWS // 2))})
    path = tmp_path_factory.mktemp("slow") / "slow.parquet"
    with pq.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(24):
            writer.write_table(table, row_group_size=ROWS)
    return path


def registered(city: City, file: Path) -> Actor:
    """The owner of a dataset, after it registered this file as the next version."""
    owner = owner_of(city)
    source = source_of(file)
    metadata = dict(owner.civic.dataset("6.1")["metadata"]) | {"source": source}
    draft = sign_act(draft_version("6.1", 2, metadata), city.trust, [owner.secrets["steward"]])
    assert submit(owner.civic, draft)["state"] == "awaiting-file"
    return owner


def refused_upload(owner: Actor, file: Path) -> ServiceProblem:
    with pytest.raises(ServiceProblem) as refused:
        owner.civic.upload("6.1", file)
    return refused.value


def workers(city: City) -> list[int]:
    """The children of the service."""
    found = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in found if parent_of(pid) == city.service.pid]


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def test_a_file_that_takes_too_long_to_check_is_refused_in_time(home: Path, slow_file: Path) -> None:
    city = open_city(home, CIVIC_SCAN_TIMEOUT_S="2", CIVIC_SCAN_WAIT_S="30")
    try:
        owner = registered(city, slow_file)
        began = time.monotonic()
        refused = refused_upload(owner, slow_file)
        assert (refused.status, refused.code) == (422, "source.unchecked")
        assert time.monotonic() - began < 12
        assert not list((city.home / "data").glob(".incoming-*"))
        people = city.of(PUBLIC_SECURITY).civic
        people.upload(city.assets["population_register"], dataset_path("population_register"))
    finally:
        city.service.stop()


def test_crash_of_the_checking_process_is_isolated(home: Path, slow_file: Path) -> None:
    """Only a scanning process reads the file, so a crash of the reader does not affect the service."""
    city = open_city(home)
    try:
        owner = registered(city, slow_file)
        with ThreadPoolExecutor() as pool:
            upload = pool.submit(refused_upload, owner, slow_file)
            while not upload.done():
                for pid in workers(city):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                assert httpx.get(city.service.url + "/v1/status", timeout=5).status_code == 200
                time.sleep(0.1)
        assert upload.result().code in ("source.unchecked", "scan.busy")
        people = city.of(PUBLIC_SECURITY).civic
        people.upload(city.assets["population_register"], dataset_path("population_register"))
    finally:
        city.service.stop()
