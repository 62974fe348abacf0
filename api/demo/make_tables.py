"""Makes the demo's data files, with the same bytes each time.

``python -m api.demo.make_tables`` writes the open tables, which are entirely invented. ``--sources DIR`` also
derives the register, the pension roll and the census extract from ``adult.csv`` and the two FEBRL files
(``data/SOURCES.md`` says where they come from). Every invented value is computed from SHA-256 of its position in a
table: no random state, no floating-point library that could differ.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

DATA = Path(__file__).parent / "data"
MONTH = dt.date(2026, 5, 1)
"""The month of the open tables."""

DISTRICTS = ("Beian", "Dongcheng", "Heyuan", "Lugang", "Nanshan", "Xihu")
STATIONS = tuple((f"AQ{n:02d}", district) for n, district in enumerate(DISTRICTS, start=1))
CITY_ZONE = dt.timezone(dt.timedelta(hours=8))

Row = Sequence[str | int]


def draw(*place: object) -> float:
    """A number in [0, 1) that belongs to a place such as (table, row, column)."""
    digest = hashlib.sha256("\x1f".join(map(str, place)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def around(middle: float, spread: float, *place: object) -> float:
    """A number near ``middle``: the mean of three draws, within ``spread`` on either side."""
    mean = sum(draw(*place, i) for i in range(3)) / 3
    return middle + spread * (2 * mean - 1)


def daily_wave(hour: int, peak: int) -> float:
    """1 at the peak hour, 0 twelve hours away, linear in between."""
    distance = abs(hour - peak) % 24
    return 1 - min(distance, 24 - distance) / 12


def air_quality() -> Iterable[Row]:
    """Six stations, a month, every six hours: haze that builds up and clears."""
    yield ("station_id", "district", "measured_at", "pm25", "pm10", "no2", "o3")
    for day in range(31):
        haze = 18 + 40 * daily_wave((day * 24 // 11) % 24, 10) + around(0, 6, "haze", day)
        for hour in (2, 8, 14, 20):
            moment = instant(day, hour)
            for station, district in STATIONS:
                place = ("air", station, day, hour)
                traffic = daily_wave(hour, 8) + daily_wave(hour, 19)
                pm25 = haze * around(1, 0.25, *place, "pm25") + 4 * traffic
                pm10 = pm25 * around(1.6, 0.2, *place, "pm10")
                no2 = 16 + 22 * traffic * around(1, 0.3, *place, "no2")
                o3 = 30 + 80 * daily_wave(hour, 15) * around(1, 0.3, *place, "o3")
                yield (
                    station,
                    district,
                    moment,
                    *(f"{max(value, 1):.1f}" for value in (pm25, pm10, no2, o3)),
                )


def weather() -> Iterable[Row]:
    """One station, a month, every three hours."""
    yield ("observed_at", "temperature", "humidity", "wind_speed", "precipitation", "pressure")
    for day in range(31):
        wet = draw("wet", day) < 0.3
        for hour in range(0, 24, 3):
            place = ("weather", day, hour)
            temperature = 15 + day / 5 + 9 * daily_wave(hour, 15) - 3 * wet + around(0, 1.5, *place, "t")
            humidity = 78 + 15 * wet - 30 * daily_wave(hour, 15) + around(0, 6, *place, "h")
            rain = 6 * draw(*place, "rain") if wet and draw(*place, "falls") < 0.6 else 0
            yield (
                instant(day, hour),
                f"{temperature:.1f}",
                round(min(max(humidity, 20), 100)),
                f"{around(2.8, 2.4, *place, 'w'):.1f}",
                f"{rain:.1f}",
                f"{around(1011 - 4 * wet, 3, *place, 'p'):.1f}",
            )


def school_places() -> Iterable[Row]:
    """Schools by district with places and pupils."""
    yield ("school_id", "district", "stage", "places", "enrolled")
    number = 0
    for district in DISTRICTS:
        for stage, schools, size in (("kindergarten", 6, 180), ("primary", 5, 720), ("middle", 3, 900)):
            for _ in range(schools):
                number += 1
                places = round(around(size, size / 3, "school", number) / 10) * 10
                enrolled = round(places * around(0.92, 0.12, "enrolled", number))
                yield (f"SC{number:03d}", district, stage, places, enrolled)


def respiratory_visits() -> Iterable[Row]:
    """Clinic visits for breathing complaints: counts per day, district and age group."""
    yield ("day", "district", "age_group", "visits")
    for day in range(31):
        for district in DISTRICTS:
            for group, usual in (("0-14", 26), ("15-59", 38), ("60+", 31)):
                visits = round(around(usual, usual / 2, "visits", day, district, group))
                yield ((MONTH + dt.timedelta(days=day)).isoformat(), district, group, visits)


def instant(day: int, hour: int) -> str:
    """A moment of the month in the city's own zone, ISO 8601."""
    start = dt.datetime(MONTH.year, MONTH.month, MONTH.day, tzinfo=CITY_ZONE)
    return (start + dt.timedelta(days=day, hours=hour)).isoformat()


def population_register(persons: Sequence[dict[str, str]]) -> Iterable[Row]:
    """FEBRL dataset 4a with typed dates, and an invented date of death.

    About one in eight of those born before 1946 has died since 2024: the pension check finds them.
    """
    yield (
        "citizen_id",
        "given_name",
        "surname",
        "street_number",
        "address_1",
        "address_2",
        "suburb",
        "postcode",
        "state",
        "date_of_birth",
        "died_on",
    )
    for person in persons:
        citizen, born = person["soc_sec_id"], iso_date(person["date_of_birth"])
        died = ""
        if born and born < "1946" and draw("died", citizen) < 0.125:
            died = (dt.date(2024, 1, 1) + dt.timedelta(days=int(draw("day", citizen) * 880))).isoformat()
        yield (
            citizen,
            *(person[n] for n in ("given_name", "surname", "street_number")),
            *(person[n] for n in ("address_1", "address_2", "suburb", "postcode", "state")),
            born,
            died,
        )


def pension_roll(persons: Sequence[dict[str, str]]) -> Iterable[Row]:
    """The persons of FEBRL dataset 4b born before 1966, including typing errors and impossible dates. The pension's
    number, start and amount (fen a month) are invented."""
    yield ("pension_no", "citizen_id", "given_name", "surname", "date_of_birth", "paid_since", "monthly_fen")
    number = 0
    for person in persons:
        born = iso_date(person["date_of_birth"])
        if not born or born >= "1966":
            continue
        number += 1
        place = ("pension", person["soc_sec_id"])
        since = max(int(born[:4]) + 60, 1985)
        yield (
            f"PN{number:05d}",
            person["soc_sec_id"],
            person["given_name"],
            person["surname"],
            born,
            f"{since}-{1 + int(draw(*place, 'month') * 12):02d}-01",
            round(around(320_000, 180_000, *place, "fen") / 100) * 100,
        )


def iso_date(text: str) -> str:
    """19150203 as 1915-02-03; an invalid date in the source remains invalid, so that the quality report finds it."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if text else ""


def census_extract(records: Sequence[dict[str, str]]) -> pa.Table:
    """Adult with tidy names, ``?`` as null, and a running number as the person key."""
    names = list(records[0])
    table: dict[str, list[int] | list[str | None]] = {"person_no": list(range(1, len(records) + 1))}
    for name in names:
        tidy = {"salary-class": "income_class", "fnlwgt": "weight"}.get(name, name.replace("-", "_"))
        cells = [record[name] for record in records]
        whole = all(cell.isdigit() for cell in cells)
        table[tidy] = [int(c) for c in cells] if whole else [None if c == "?" else c for c in cells]
    return pa.table(table)


def read_source(path: Path) -> list[dict[str, str]]:
    """A source CSV; its header and cells have a space after each comma."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name.strip(): (cell or "").strip() for name, cell in record.items()}
            for record in csv.DictReader(file, skipinitialspace=True)
        ]


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write UTF-8, lines ending in LF."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def make_open_tables(out: Path) -> None:
    """Write the tables that need no source."""
    for make in (air_quality, weather, school_places, respiratory_visits):
        write_csv(out / f"{make.__name__}.csv", make())


def make_derived_tables(out: Path, sources: Path) -> None:
    """Write the tables that are derived from the public sources in ``sources``."""
    write_csv(
        out / "population_register.csv", population_register(read_source(sources / "febrl_dataset4a.csv"))
    )
    write_csv(out / "pension_roll.csv", pension_roll(read_source(sources / "febrl_dataset4b.csv")))
    census = census_extract(read_source(sources / "adult.csv"))
    pq.write_table(census, out / "census_extract.parquet", compression="zstd", compression_level=19)


def main() -> None:
    """Write the files that the command line names."""
    parser = argparse.ArgumentParser(description="Make the demo's data files.")
    parser.add_argument("--sources", type=Path, help="directory with adult.csv and the FEBRL files")
    parser.add_argument("--out", type=Path, default=DATA, help="where to write (default: the shipped data)")
    arguments = parser.parse_args()
    make_open_tables(arguments.out)
    if arguments.sources:
        make_derived_tables(arguments.out, arguments.sources)


if __name__ == "__main__":
    main()
