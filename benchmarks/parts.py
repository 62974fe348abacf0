"""The cost of a table in parts: scans over 1 to 400 parts in comparison with one file, in one interleaved run.

``python -m benchmarks.parts --json [--rows 5000000] [--rounds 5]``: the same rows as one Parquet file and cut into parts, with
the plans of ``benchmarks.data``, in seconds of processor time. ``look_ms`` is a read of parts of one row each, ``first_use_ms``
the first such read of a process; ``together_s`` is the check of all parts after the upload of the last one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb

from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import Plan
from access_policy.privacy.source import Source, SourceFile
from benchmarks.data import KEY, SCHEMA, VARIANTS, write_asset

COUNTS = (1, 10, 100, 400)
NAMES = ("project_filter", "generalise", "pseudonym")


def cut(path: Path, rows: int, count: int) -> Source:
    """Write the rows of a file to ``count`` files in the same folder."""
    folder = path.parent / str(count)
    folder.mkdir()
    size = -(-rows // count)
    files: list[SourceFile] = []
    for number in range(count):
        place = folder / f"{number}.parquet"
        duckdb.execute(
            f"COPY (FROM read_parquet('{path}') LIMIT {size} OFFSET {number * size})"
            f" TO '{place}' (FORMAT parquet, COMPRESSION zstd)"
        )
        files.append(SourceFile(str(place), hashlib.sha256(place.read_bytes()).hexdigest()))
    return Source(files[0].path, "parquet", SCHEMA, files[0].sha256, tuple(files[1:]))


def spent(scanner: Scanner, work: Callable[[], object]) -> float:
    """The processor time of ``work`` in seconds, in this process and the scanning process."""
    before = time.process_time() + _of_workers(scanner)
    work()
    return time.process_time() + _of_workers(scanner) - before


def _of_workers(scanner: Scanner) -> float:
    ticks = os.sysconf("SC_CLK_TCK")
    told = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in scanner.process_ids())
    return sum(int(one[11]) + int(one[12]) for one in told) / ticks


def scan(scanner: Scanner, plan: Plan, source: Source) -> int:
    """Read all rows of an answer; returns their number."""
    with scanner.scan(plan, source, KEY) as running:
        return sum(batch.num_rows for batch in running)


def measure(path: Path, rows: int, rounds: int) -> dict[str, object]:
    """Figures and ratios over one asset."""
    sources = {count: cut(path, rows, count) for count in COUNTS}
    figures: dict[str, float] = {}
    taken: dict[str, list[float]] = {}
    with Scanner([path.parent], size=1, timeout=600) as scanner:
        for source in sources.values():
            scanner.check_quality(source, together="types")  # hashes them
            scan(scanner, VARIANTS["project_filter"], source)
        for _ in range(rounds):
            for count, source in sources.items():
                for name in NAMES:
                    took = spent(scanner, partial(scan, scanner, VARIANTS[name], source))
                    taken.setdefault(f"{name}_{count}", []).append(took)
                look = partial(scanner.check_quality, source, together="spellings")
                taken.setdefault(f"together_{count}", []).append(spent(scanner, look))
    figures |= {f"{name}_s": statistics.median(these) for name, these in taken.items()}
    ratios = {
        name: statistics.median(
            a / b for a, b in zip(these, taken[f"{name.rpartition('_')[0]}_1"], strict=True)
        )
        for name, these in taken.items()
        if not name.endswith("_1")
    }
    return {
        "benchmark": "parts",
        "figures": {name: round(value, 4) for name, value in sorted((figures | _small()).items())},
        "ratios": {f"{name}_vs_1": round(value, 3) for name, value in sorted(ratios.items())},
    }


def _small() -> dict[str, float]:
    """The processor time in milliseconds of the first and of later reads of a process, for parts of one row each."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "small.parquet"
        for count in COUNTS:
            write_asset(path, count)
            source = cut(path, count, count)
            with Scanner([path.parent], size=1) as scanner:
                scanner.warm()
                work = partial(scan, scanner, VARIANTS["project_filter"], source)
                found[f"first_use_{count}_ms"] = 1_000 * spent(scanner, work)
                found[f"look_{count}_ms"] = 100 * spent(scanner, lambda do=work: [do() for _ in range(10)])  # type: ignore[misc]
    return found


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
        print(json.dumps(measure(path, arguments.rows, arguments.rounds)))


if __name__ == "__main__":
    main()
