"""Importing a chain does not make the process fragile."""

from __future__ import annotations

import subprocess
import sys

import pytest

HOSTILE = """
import json
{use}
try:
    json.loads("[" * 200_000)
except RecursionError:
    print("refused")
"""


@pytest.mark.parametrize(
    "use",
    [
        "import ledger.chain.embedded",
        "from ledger.chain.rpc import RpcChain; RpcChain('http://127.0.0.1:1', 5)",
        "from ledger.chain.rpc import RpcChain; RpcChain('http://127.0.0.1:1', 5); import ledger.chain.embedded",
    ],
)
def test_nested_json_is_refused_without_a_crash(use):
    done = subprocess.run([sys.executable, "-c", HOSTILE.format(use=use)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
