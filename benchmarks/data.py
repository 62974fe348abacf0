"""The cost of enforcement in comparison with a bare DuckDB scan of the same file, in one interleaved run.

``python -m benchmarks.data --json [--rows 5000000] [--rounds 5]``: 35% of the rows pass the steward's filter
(5 M -> 1.75 M). Ratios are medians of the ratios of each round, with the bare scan and each variant interleaved. The bare scan
runs in this process; each variant includes the cost of its worker process and the pipe.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.encoding import Encoder
from access_policy.privacy.execution.engine import EngineLimits
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import Plan, compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import parse_schema
from access_policy.privacy.source import Source
from access_policy.terms.rows import In
from access_policy.terms.transforms import Band, Mask, Pseudonym, Transform, Truncate

BATCH_ROWS = 32_768
THREADS = 2
COLUMNS = ("person", "district", "born", "income")
SHARED = tuple(f"D{i:02d}" for i in range(7))
SCHEMA = parse_schema(
    {
        "fields": [
            {"name": "person", "type": "string", "class": "identifier"},
            {"name": "district", "type": "string"},
            {"name": "born", "type": "date", "class": "quasi-identifier"},
            {"name": "income", "type": "integer", "class": "sensitive", "unit": "fen/mo"},
            {"name": "note", "type": "string"},
        ],
        "personKey": "person",
    }
)
KEY = derive_grant_key(b"only for measuring, never in a city", "0x01")
BARE = f"""SELECT person, district, born, income FROM read_parquet($path)
    WHERE district IN ({", ".join(f"'{d}'" for d in SHARED)})"""


def write_asset(path: Path, rows: int) -> None:
    """Write a register of persons with about three rows each, not ordered by person."""
    duckdb.execute(
        f"""COPY (SELECT 'P' || lpad((hash(i) % {max(rows // 3, 1)})::VARCHAR, 9, '0') AS person,
                 'D' || lpad((hash(i + 1) % 20)::VARCHAR, 2, '0') AS district,
                 DATE '1930-01-01' + (hash(i + 2) % 30000)::INTEGER AS born,
                 (hash(i + 3) % 2000000)::BIGINT AS income,
                 'note ' || i AS note
          FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"""
    )


def plan_of(transforms: dict[str, Transform], query: object = None) -> Plan:
    """The steward's filter, the four shared columns, and the transforms of a variant."""
    return compile_plan(
        parse_query(query or {}), Permit("0x01", "r", COLUMNS, In("district", SHARED), transforms), SCHEMA
    )


VARIANTS: dict[str, Plan] = {
    "project_filter": plan_of({}),
    "generalise": plan_of({"born": Truncate("year"), "income": Band(50_000)}),
    "mask": plan_of({"person": Mask(1, 0)}),
    "pseudonym": plan_of({"person": Pseudonym()}),
    "generalise_pseudonym": plan_of(
        {"person": Pseudonym(), "born": Truncate("year"), "income": Band(50_000)}
    ),
}


def bare_scan(engine: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Scan with DuckDB alone on a warm connection, with Arrow batches; returns the number of rows."""
    relation = engine.sql(BARE, params={"path": str(path)})
    with relation.to_arrow_reader(BATCH_ROWS) as reader:
        return sum(batch.num_rows for batch in reader)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON (the only form there is)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "asset.parquet"
        write_asset(path, arguments.rows)
        print(json.dumps(measure(path, arguments.rounds)))


def measure(path: Path, rounds: int) -> dict[str, object]:
    """Figures and ratios over one asset."""
    source = Source(str(path), "parquet", SCHEMA)
    figures: dict[str, float] = {}
    with (
        Scanner([path.parent], size=2, limits=EngineLimits(threads=THREADS)) as scanner,
        duckdb.connect(":memory:", config={"threads": THREADS}) as engine,
    ):
        scanner.warm()
        full = _interleaved(
            {
                "bare": lambda: bare_scan(engine, path),
                **{name: _reader(scanner, plan, source) for name, plan in VARIANTS.items()},
            },
            rounds,
        )
        first = [_first_batch(scanner, VARIANTS["project_filter"], source) for _ in range(rounds)]
        first_sorted = [_first_batch(scanner, VARIANTS["pseudonym"], source) for _ in range(rounds)]
        figures |= {f"{name}_s": statistics.median(taken) for name, taken in full.items()}
        figures["first_batch_s"] = statistics.median(first)
        figures["first_batch_pseudonym_s"] = statistics.median(first_sorted)
        figures["worker_peak_mb"] = max(_peak_mb(pid) for pid in scanner.process_ids())
        figures |= _encoding(scanner, source)
    figures |= _point_reads(source)
    ratios = {
        name: statistics.median(a / b for a, b in zip(taken, full["bare"], strict=True))
        for name, taken in full.items()
        if name != "bare"
    }
    ratios["point_read"] = figures["point_read_p50_ms"] / figures["point_read_bare_p50_ms"]
    return {
        "benchmark": "data",
        "figures": {name: round(value, 5) for name, value in figures.items()},
        "ratios": {f"{name}_vs_bare": round(value, 3) for name, value in ratios.items()},
        "targets": {
            "generalise_vs_bare": 1.5,
            "pseudonym_vs_bare": 7,
            "first_batch_s": 0.3,
            "worker_peak_mb": 512,
            "point_read_p50_ms": 15,
        },
    }


def _interleaved(variants: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for run in variants.values():
        run()
    for _ in range(rounds):
        counts = set()
        for name, run in variants.items():
            started = time.perf_counter()
            counts.add(run())
            taken[name].append(time.perf_counter() - started)
        assert len(counts) == 1, "every variant releases the same rows"
    return taken


def _reader(scanner: Scanner, plan: Plan, source: Source) -> Callable[[], int]:
    def run() -> int:
        with scanner.scan(plan, source, KEY) as scan:
            return sum(batch.num_rows for batch in scan)

    return run


def _first_batch(scanner: Scanner, plan: Plan, source: Source) -> float:
    started = time.perf_counter()
    with scanner.scan(plan, source, KEY) as scan:
        next(scan)
        return time.perf_counter() - started


def _encoding(scanner: Scanner, source: Source) -> dict[str, float]:
    """The rows per second of each answer format, including the scan."""
    figures: dict[str, float] = {}
    for answer in ("arrow", "csv", "ndjson"):
        started = time.perf_counter()
        with scanner.scan(VARIANTS["project_filter"], source, KEY) as scan:
            encoder = Encoder(scan, scan.schema, answer)
            for _ in encoder:
                pass
        figures[f"{answer}_rows_per_s"] = encoder.rows / (time.perf_counter() - started)
    return figures


def _point_reads(source: Source) -> dict[str, float]:
    """Reads of one person's rows by key, interleaved with the bare engine (warm, same settings); then by eight parallel
    callers on two workers."""
    with duckdb.connect() as connection:
        text = "SELECT person FROM read_parquet($path) WHERE district = 'D00' USING SAMPLE 200 ROWS (reservoir, 7)"
        people = [row[0] for row in connection.execute(text, {"path": source.path}).fetchall()]

    def read(person: str) -> float:
        started = time.perf_counter()
        query = {"where": {"column": "person", "op": "eq", "value": person}}
        with scanner.scan(plan_of({}, query), source) as scan:
            assert sum(batch.num_rows for batch in scan)
        return (time.perf_counter() - started) * 1e3

    def bare(person: str) -> float:
        started = time.perf_counter()
        parameters = {"path": source.path, "person": person}
        assert engine.execute(f"{BARE} AND person = $person", parameters).fetchall()
        return (time.perf_counter() - started) * 1e3

    with (
        Scanner([Path(source.path).parent], size=2, limits=EngineLimits(threads=1)) as scanner,
        duckdb.connect(":memory:", config={"threads": 1}) as engine,
    ):
        engine.execute("SET parquet_metadata_cache = true")
        scanner.warm()
        pairs = [(read(person), bare(person)) for person in people[:20] + people][20:]
        alone, native = (sorted(side) for side in zip(*pairs, strict=True))
        with ThreadPoolExecutor(8) as callers:
            started = time.perf_counter()
            together = sorted(callers.map(read, people))
            rate = len(people) / (time.perf_counter() - started)
    return {
        "point_read_p50_ms": alone[len(alone) // 2],
        "point_read_p99_ms": alone[int(len(alone) * 0.99)],
        "point_read_bare_p50_ms": native[len(native) // 2],
        "point_read_8_callers_p99_ms": together[int(len(together) * 0.99)],
        "point_reads_per_s_8_callers": rate,
    }


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
