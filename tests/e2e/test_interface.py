"""The description of the interface against the service: Schemathesis makes calls from it, well formed and
malformed, signed by a department or an auditor, and unsigned. No call causes a fault of the service, and
every answer is described."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api.demo.city import City
from api.demo.participants import AUDIT, PLANNING
from api.sdk.transport import ServiceKey
from tests.simulators import generated_calls

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "described_code",
)  # fmt: skip
CONFIG = """
[checks.negative_data_rejection]
expected-statuses = ["4XX"]
"""
OPERATIONS = 36
ROOT = Path(__file__).resolve().parents[2]
CALLERS = {"nobody": None, "a department": PLANNING, "an auditor": AUDIT}


def faults(city: City, key: ServiceKey | None, examples: int) -> str:
    """The findings of Schemathesis with this many generated calls of each operation, in addition to the
    systematic ones; empty if there are none."""
    config = city.home / "schemathesis.toml"
    config.write_text(CONFIG)
    environment = dict(os.environ) | {"SCHEMATHESIS_HOOKS": generated_calls.__name__, "PYTHONPATH": str(ROOT)}
    if key is not None:
        environment[generated_calls.KEY] = f"{key.department}:{key.private.private_bytes_raw().hex()}"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
        *(
            f"{city.service.url}/openapi.json",
            "--checks",
            ",".join(CHECKS),
            "--phases",
            "examples,coverage,fuzzing",
        ),
        *("--max-examples", str(examples), "--generation-deterministic", "--no-shrink", "--no-color"),
        *("--generation-with-security-parameters", "false"),
    ]
    done = subprocess.run(
        command, cwd=city.home, env=environment, capture_output=True, text=True, check=False
    )
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested, done.stdout + done.stderr
    assert int(tested[1]) >= OPERATIONS
    return "" if done.returncode == 0 else done.stdout + done.stderr


def signs(city: City, who: str) -> ServiceKey | None:
    part = CALLERS[who]
    return None if part is None else city.of(part).service


@pytest.mark.parametrize("who", CALLERS)
def test_every_answer_is_described(shared_city: City, who: str) -> None:
    assert faults(shared_city, signs(shared_city, who), 3) == ""


@pytest.mark.drill
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("who", CALLERS)
def test_every_answer_to_many_calls_is_described(shared_city: City, who: str) -> None:
    assert faults(shared_city, signs(shared_city, who), 300) == ""
