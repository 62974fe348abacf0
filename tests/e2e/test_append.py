"""A table grows by parts: only the new ones are sent, all of them are signed, and a read uses whole versions only."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from api.cli.main import main
from api.demo.city import City
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, EDUCATION, HEALTH, PLANNING
from api.demo.process import ServiceProcess
from api.files.errors import FileError
from api.protocol.errors import ClientError
from api.sdk.drafts import (
    ActDraft,
    appended,
    document_hash,
    draft_append,
    draft_version,
    sign_act,
    source_of,
    submit,
)
from api.sdk.errors import AnswerRefused, ServiceProblem
from tests.e2e.test_next_version import (
    AIR,
    SIGNED,
    Reader,
    commanded,
    commanded_in_chinese,
    killed_and_started,
    owner_of,
    state_of,
)
from tests.simulators.city import TIDY, open_city, reconnect, take_version

QUERY: dict[str, Any] = {"columns": ["district"], "limit": 5_000}


def readings(mark: str, rows: int = 20) -> pa.Table:
    """Rows of the air quality data in which every district has this name."""
    table = pyarrow.csv.read_csv(dataset_path("air_quality"))
    table = pa.table(
        {
            name: column.cast(pa.string())
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )
    place = table.column_names.index("district")
    return table.slice(0, rows).set_column(place, "district", pa.array([mark] * rows))


def part(city: City, mark: str, rows: int = 20, table: pa.Table | None = None) -> Path:
    path = city.home / f"{mark}.parquet"
    pq.write_table(readings(mark, rows) if table is None else table, path)
    return path


def folder(city: City) -> Path:
    return city.home / "data" / AIR


def place_of(city: City, file: Path) -> Path:
    return folder(city) / f"{hashlib.sha256(file.read_bytes()).hexdigest()}.parquet"


def begun(city: City, mark: str, rows: int = 20) -> Path:
    """The dataset's next version is one Parquet file."""
    owner, file = owner_of(city), part(city, mark, rows)
    known = owner.civic.dataset(AIR)
    entry = dict(known["metadata"]) | {"source": source_of(file)}
    take_version(city, owner, draft_version(AIR, known["version"] + 1, entry), file)
    return file


def drafted(city: City, *files: Path, parts: list[dict[str, Any]] | None = None, **more: Any) -> ActDraft:
    civic = owner_of(city).civic
    known, source = civic.dataset(AIR), civic.dataset_source(AIR)
    if parts is None:
        draft = draft_append(known, source, files, **more)
    else:
        entry = dict(known["metadata"]) | {"source": {"format": "parquet", "parts": parts}}
        draft = draft_version(AIR, known["version"] + 1, entry, **more)
    return sign_act(draft, city.trust, [owner_of(city).secrets["steward"]])


def handed_in(city: City, draft: ActDraft) -> str:
    answer = submit(owner_of(city).civic, draft)
    assert answer["state"] == "awaiting-file", answer
    return str(answer["digest"])


def recorded(city: City, *files: Path) -> None:
    """Append these parts and upload all of them."""
    digest = handed_in(city, drafted(city, *files))
    for file in files:
        owner_of(city).civic.upload(AIR, file)
    assert state_of(city, digest) == "recorded"


def districts(city: City) -> tuple[int, list[str]]:
    """The version that is read, and its runs of equal districts, in the order of the rows."""
    answer = city.of(PLANNING).civic.read(AIR, AIR_POLICY, QUERY)
    found = [row["district"] for row in answer.rows()]
    return answer.release["version"], [
        one for one, before in zip(found, [None, *found], strict=False) if one != before
    ]


def refused(city: City, file: Path, who: int = 6) -> str:
    with pytest.raises(ServiceProblem) as problem:
        city.actors[who].civic.upload(AIR, file)
    return problem.value.code


def denied(city: City) -> str:
    with pytest.raises(ServiceProblem) as problem:
        districts(city)
    return problem.value.code


def comes_to_nothing(city: City, digest: str) -> str:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            assert state_of(city, digest, 0) == "awaiting-file"
        except ServiceProblem as problem:
            return problem.code
        time.sleep(0.05)
    raise AssertionError("it waits on")


@pytest.fixture(scope="module")
def parquet_city(tidy_city: City) -> City:
    """A city whose air quality data are a Parquet file."""
    begun(tidy_city, "base")
    return tidy_city


def test_the_command_sends_only_the_new_files_and_no_read_fails(parquet_city: City) -> None:
    base = begun(parquet_city, "one")
    files = [part(parquet_city, "two"), part(parquet_city, "three", 7)]
    before = owner_of(parquet_city).civic.dataset_source(AIR)
    with Reader(parquet_city) as reader:
        made, said = commanded_in_chinese(parquet_city, "dataset", "append", AIR, *files, *SIGNED)
        reader.some()
    assert not reader.failed, reader.failed
    assert (made["state"], made["version"]) == ("recorded", before["version"] + 1), made
    assert [one["sha256"] for one in made["uploads"]] == [source_of(one)["sha256"] for one in files]
    assert made["changes"]["parts"] == {"before": 1, "after": 3}
    assert made["changes"]["rows"] == {"before": 20, "after": 47}
    sizes = [one.stat().st_size for one in (base, *files)]
    assert made["changes"]["bytes"] == {"before": sizes[0], "after": sum(sizes)}
    for words in ("分片数：1 -> 3", "行数：20 -> 47", "已受理，现在提交文件"):
        assert words in said
    version, found = districts(parquet_city)
    assert (version, found) == (made["version"], ["one", "two", "three"])
    after = owner_of(parquet_city).civic.dataset_source(AIR)
    assert [one["sha256"] for one in after["parts"]] == [source_of(one)["sha256"] for one in (base, *files)]
    assert after["rows"] == 47
    assert owner_of(parquet_city).civic.dataset(AIR)["metadata"]["source"].keys() == {"format", "opening"}
    again, _ = commanded(parquet_city, "dataset", "append", AIR, files[0], *SIGNED)
    assert again["error"]["code"] == "parts.twice"
    csv, _ = commanded(parquet_city, "dataset", "append", AIR, dataset_path("air_quality"), *SIGNED)
    assert csv["error"]["code"] == "parts.format"


def test_act_waits_for_all_parts_and_survives_every_kill(parquet_city: City) -> None:
    begun(parquet_city, "k0")
    before, files = districts(parquet_city), [part(parquet_city, f"k{n}") for n in (1, 2, 3)]
    answer, said = commanded(parquet_city, "dataset", "append", AIR, *files, "--no-upload", *SIGNED)
    assert (answer["state"], answer["version"]) == ("awaiting-file", before[0] + 1)
    assert "parts: 1 -> 4" in said
    digest = answer["digest"]
    for number in (2, 0):
        given, _ = commanded(parquet_city, "dataset", "upload", AIR, files[number])
        assert given["missing"] == (2 if number else 1)
        assert state_of(parquet_city, digest, 0) == "awaiting-file"
        assert districts(parquet_city) == before
    [awaited] = owner_of(parquet_city).civic.dataset_source(AIR)["awaited"]
    assert awaited["missing"] == [source_of(files[1])["sha256"]]
    # The last part arrived, and the service was killed before it answered.
    shutil.copy(files[1], place_of(parquet_city, files[1]))
    killed_and_started(parquet_city)
    assert state_of(parquet_city, digest, 0) == "awaiting-file"
    assert districts(parquet_city) == before
    owner_of(parquet_city).civic.upload(AIR, files[1])
    killed_and_started(parquet_city)
    assert state_of(parquet_city, digest) == "recorded"
    assert districts(parquet_city) == (before[0] + 1, ["k0", "k1", "k2", "k3"])


@pytest.mark.drill
def test_a_service_killed_while_parts_arrive_leaves_no_half_version(parquet_city: City) -> None:
    begun(parquet_city, "h0")
    before, version = districts(parquet_city), districts(parquet_city)[0]
    files = [part(parquet_city, f"h{n}") for n in (1, 2)]
    digest = handed_in(parquet_city, drafted(parquet_city, *files))
    for delay in (0.02, 0.06, 0.1, 0.15, 0.25):

        def send() -> None:
            for file in files:
                try:
                    owner_of(parquet_city).civic.upload(AIR, file)
                except Exception:  # noqa: BLE001 - the service is killed under it
                    return

        thread = threading.Thread(target=send)
        thread.start()
        time.sleep(delay)
        parquet_city.service.kill()
        thread.join()
        parquet_city.service = ServiceProcess(parquet_city.home, environment=TIDY)
        reconnect(parquet_city)
        assert districts(parquet_city) in (before, (version + 1, ["h0", "h1", "h2"]))
    for file in files:
        owner_of(parquet_city).civic.upload(AIR, file)
    assert state_of(parquet_city, digest) == "recorded"
    assert districts(parquet_city) == (version + 1, ["h0", "h1", "h2"])


def test_of_two_concurrent_appends_one_is_recorded_and_one_is_refused(parquet_city: City) -> None:
    begun(parquet_city, "t0")
    version = districts(parquet_city)[0]
    ours, theirs = part(parquet_city, "t1"), part(parquet_city, "t2")
    late = handed_in(parquet_city, drafted(parquet_city, ours))
    made, _ = commanded(parquet_city, "dataset", "append", AIR, theirs, *SIGNED)
    assert made.get("state") == "recorded", made
    assert comes_to_nothing(parquet_city, late) == "act.refused"
    assert refused(parquet_city, ours) == "source.mismatch"
    assert districts(parquet_city) == (version + 1, ["t0", "t2"])
    made, _ = commanded(parquet_city, "dataset", "append", AIR, ours, *SIGNED)
    assert made.get("state") == "recorded", made
    assert districts(parquet_city) == (version + 2, ["t0", "t2", "t1"])


def test_part_named_by_two_waiting_versions_completes_one_of_them(parquet_city: City) -> None:
    begun(parquet_city, "w0")
    version = districts(parquet_city)[0]
    shared, never = part(parquet_city, "w1"), part(parquet_city, "w2")
    longer = handed_in(parquet_city, drafted(parquet_city, shared, never))
    shorter = handed_in(parquet_city, drafted(parquet_city, shared))
    given = owner_of(parquet_city).civic.upload(AIR, shared)
    assert given["act"] == shorter
    assert state_of(parquet_city, shorter) == "recorded"
    assert districts(parquet_city) == (version + 1, ["w0", "w1"])
    assert comes_to_nothing(parquet_city, longer) == "act.refused"


def test_parts_sent_concurrently_are_compared_with_each_other(parquet_city: City) -> None:
    """Each new part fits the stored part, but they do not fit each other: the one that arrives last is
    refused."""
    begun(parquet_city, "r0")
    before = districts(parquet_city)
    odd = [part(parquet_city, f"r{n}") for n in (1, 2)]
    table = pq.read_table(odd[1])
    place = table.column_names.index("pm25")
    numbers = pa.array([1.5] * len(table), pa.float64())
    pq.write_table(table.set_column(place, "pm25", numbers), odd[1])
    digest = handed_in(parquet_city, drafted(parquet_city, *odd))
    codes: list[str] = []

    def send(file: Path) -> None:
        try:
            owner_of(parquet_city).civic.upload(AIR, file)
            codes.append("kept")
        except ServiceProblem as problem:
            codes.append(problem.code)

    threads = [threading.Thread(target=send, args=(file,)) for file in odd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["kept", "parts.types"]
    assert not place_of(parquet_city, odd[1]).exists()
    assert state_of(parquet_city, digest, 0) == "awaiting-file"
    assert districts(parquet_city) == before


def other_order(table: pa.Table) -> pa.Table:
    return table.select(table.column_names[::-1])


def a_column_less(table: pa.Table) -> pa.Table:
    return table.drop_columns(["pm25"])


def other_type(table: pa.Table) -> pa.Table:
    place = table.column_names.index("pm25")
    return table.set_column(place, "pm25", pa.array([1.5] * len(table), pa.float64()))


def test_only_fitting_parts_are_accepted(parquet_city: City) -> None:
    begun(parquet_city, "f0")
    before = districts(parquet_city)
    for change, code in ((a_column_less, "source.unreadable"), (other_type, "parts.types")):
        file = part(parquet_city, f"f-{change.__name__}", table=change(readings("f1")))
        digest = handed_in(parquet_city, drafted(parquet_city, file))
        assert refused(parquet_city, file) == code
        assert not place_of(parquet_city, file).exists()
        assert state_of(parquet_city, digest, 0) == "awaiting-file"
    damaged = part(parquet_city, "f-cut")
    damaged.write_bytes(damaged.read_bytes()[:-8] + b"xxxxPAR1")
    handed_in(parquet_city, drafted(parquet_city, damaged))
    assert refused(parquet_city, damaged) == "source.mismatch"
    text = parquet_city.home / "f-text.parquet"
    text.write_bytes(b"PAR1" + dataset_path("air_quality").read_bytes())
    handed_in(parquet_city, drafted(parquet_city, text))
    assert refused(parquet_city, text) == "source.mismatch"
    assert districts(parquet_city) == before
    recorded(parquet_city, part(parquet_city, "f-moved", table=other_order(readings("f2"))))
    assert districts(parquet_city) == (before[0] + 1, ["f0", "f2"])


def test_digest_of_another_datasets_file_gives_no_access_to_it(parquet_city: City) -> None:
    """The steward of one dataset learns the digest of another dataset's file and names it as a part."""
    begun(parquet_city, "x0")
    before = districts(parquet_city)
    foreign = next(
        path
        for path in (parquet_city.home / "data").glob("*/*")
        if path.parent.name != AIR and path.suffix == ".csv"
    )
    own = owner_of(parquet_city).civic.dataset_source(AIR)
    first = {"sha256": own["sha256"], "bytes": own["bytes"]}
    stolen = {"sha256": foreign.stem, "bytes": foreign.stat().st_size}
    digest = handed_in(parquet_city, drafted(parquet_city, parts=[first, stolen]))
    assert state_of(parquet_city, digest, 0) == "awaiting-file"
    assert districts(parquet_city) == before
    [*_, awaited] = owner_of(parquet_city).civic.dataset_source(AIR)["awaited"]
    assert awaited["missing"] == [foreign.stem]
    mine = part(parquet_city, "x1")
    assert refused(parquet_city, mine) == "source.mismatch"
    for who in (EDUCATION, HEALTH):
        handed_in(parquet_city, drafted(parquet_city, mine))
        with pytest.raises(ServiceProblem) as problem:
            parquet_city.of(who).civic.upload(AIR, mine)
        assert problem.value.code == "caller.not-holder"


def test_invalid_lists_of_parts_are_refused_before_signing(parquet_city: City) -> None:
    begun(parquet_city, "s0")
    source = owner_of(parquet_city).civic.dataset_source(AIR)
    file = part(parquet_city, "s1")
    with pytest.raises(ServiceProblem) as twice:
        submit(owner_of(parquet_city).civic, drafted(parquet_city, file, file))
    assert twice.value.code == "parts.twice"
    with pytest.raises(ClientError) as form:
        appended(source | {"format": "csv"}, [file])
    assert form.value.code == "parts.format"
    with pytest.raises(FileError) as text:
        appended(source, [dataset_path("air_quality")])
    assert text.value.code == "parts.format"
    first = {"sha256": source["sha256"], "bytes": source["bytes"]}
    for parts, code in (
        ([], "parts.none"),
        ([first, first], "parts.twice"),
        ([{"sha256": f"{n:064x}", "bytes": 1} for n in range(401)], "parts.too-many"),
    ):
        with pytest.raises(ServiceProblem) as problem:
            submit(owner_of(parquet_city).civic, drafted(parquet_city, parts=parts))
        assert problem.value.code == code


def test_parts_that_differ_from_the_record_are_not_signed(parquet_city: City) -> None:
    """A service that names another base to the steward would obtain a signature for it."""
    begun(parquet_city, "l0")
    civic, file = owner_of(parquet_city).civic, part(parquet_city, "l1")
    known, source = civic.dataset(AIR), civic.dataset_source(AIR)
    other = source | {"sha256": "ab" * 32}
    opening = {name: other[name] for name in ("sha256", "bytes", "salt")}
    entry = known["metadata"] | {"source": {"format": "parquet", "opening": document_hash(opening)[2:]}}
    for shown, told in ((known, other), (known | {"metadata": entry}, other)):
        with pytest.raises(AnswerRefused):
            draft_append(shown, told, [file])
    with pytest.raises(ClientError) as overtaken:
        draft_append(known, source | {"version": source["version"] + 1}, [file])
    assert overtaken.value.code == "version.overtaken"
    assert draft_append(known, source, [file]).documents[1]["parts"][0]["sha256"] == source["sha256"]


def changed(first: Path, second: Path) -> None:
    second.write_bytes(second.read_bytes().replace(b"AQ01", b"AQ91"))


def gone(first: Path, second: Path) -> None:
    second.unlink()


def exchanged(first: Path, second: Path) -> None:
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def doubled(first: Path, second: Path) -> None:
    second.write_bytes(first.read_bytes())


def test_changed_parts_on_disk_are_detected(parquet_city: City, capsys: pytest.CaptureFixture[str]) -> None:
    begun(parquet_city, "o0")
    first, second = part(parquet_city, "o1"), part(parquet_city, "o2")
    recorded(parquet_city, first, second)
    good, places = districts(parquet_city), [place_of(parquet_city, first), place_of(parquet_city, second)]
    for attack in (changed, gone, exchanged, doubled):
        attack(*places)
        assert denied(parquet_city) == "source.changed", attack.__name__
        if attack in (gone, exchanged):
            capsys.readouterr()
            assert main(["audit", "fsck", "--home", str(parquet_city.home), "--json"]) == 1
            assert "fsck.source" in capsys.readouterr().out
            reconnect(
                parquet_city
            )  # The service closes connections that are idle for as long as the check takes.
        for place, file in zip(places, (first, second), strict=True):
            place.write_bytes(file.read_bytes())
        assert districts(parquet_city) == good
    assert main(["audit", "fsck", "--home", str(parquet_city.home), "--json"]) == 0


def test_part_is_deleted_when_no_kept_version_names_it(founded: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(founded, tmp_path / "city"))
    profile = {
        "version": 1,
        "rules": [{"types": "", "openings_days": None, "leaves_days": None}],
        "files_days": 0,
    }
    (home / "retention.json").write_text(json.dumps(profile))
    city = open_city(home, **TIDY)
    try:
        base, more, other = begun(city, "g0"), part(city, "g1"), part(city, "g2")
        recorded(city, more)
        known = owner_of(city).civic.dataset_source(AIR)["parts"]
        recorded(city, other)
        time.sleep(2)
        assert all(place_of(city, one).exists() for one in (base, more, other))
        # A version that names only stored parts takes effect at once; the first part is deleted.
        fewer = [*known[1:], {"sha256": source_of(other)["sha256"], "bytes": other.stat().st_size}]
        assert submit(owner_of(city).civic, drafted(city, parts=fewer))["state"] == "recorded"
        assert districts(city)[1] == ["g1", "g2"]
        until = time.monotonic() + 20
        while place_of(city, base).exists():
            assert time.monotonic() < until
            time.sleep(0.1)
        assert districts(city)[1] == ["g1", "g2"]
        [*_, entry] = [one["entry"] for one in city.of(AUDIT).civic.entries(type="gateway:source:deleted")]
        assert (entry["asset"], entry["facts"]["why"]) == (AIR, "superseded")
        # A deleted part that is named again must be uploaded again.
        back = [{"sha256": source_of(base)["sha256"], "bytes": base.stat().st_size}, *fewer]
        digest = handed_in(city, drafted(city, parts=back))
        owner_of(city).civic.upload(AIR, base)
        assert state_of(city, digest) == "recorded"
        assert districts(city)[1] == ["g0", "g1", "g2"]
    finally:
        city.service.stop()
    assert os.listdir(home / "data" / AIR)
