"""For a service with this folder in PYTHONPATH: a thread that takes a second connection of one pool, or asks the chain or
waits for another thread while it has one, is written to the file NESTED_CONNECTIONS. Where every thread holds a connection
and waits, nobody is answered any more."""

import os
import threading
import traceback
from collections import Counter
from concurrent.futures import Future
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from sys import meta_path

from sqlalchemy import event
from sqlalchemy.pool import Pool

_held = threading.local()

_ASKS = ("head", "block", "evidence", "call", "send", "receipt", "wait", "logs", "storage", "nonce", "balance", "code",
         "fees", "mined_nonce", "estimate_gas")  # fmt: skip
_CHAINS = {"ledger.chain.rpc": "RpcChain", "ledger.chain.embedded.chain": "EmbeddedChain"}


def _count(record):
    if not hasattr(_held, "by_pool"):
        _held.by_pool = Counter()
    return _held.by_pool, id(record._ConnectionRecord__pool)


def _note(what):
    with open(os.environ["NESTED_CONNECTIONS"], "a", encoding="utf-8") as file:
        file.write(what + "\n" + "".join(traceback.format_stack(limit=24)) + "\n")


def _holds_one():
    return any(getattr(_held, "by_pool", Counter()).values())


def _taken(_dbapi, record, _proxy):
    held, pool = _count(record)
    if held[pool] > 0:
        _note("a second connection")
    held[pool] += 1


def _given_back(_dbapi, record):
    held, pool = _count(record)
    held[pool] -= 1


def _watched(method, what, waits=lambda _: True):
    def watched(self, *args, **options):
        if _holds_one() and waits(self):
            _note(what)
        return method(self, *args, **options)

    return watched


class _Chains(MetaPathFinder):
    """Watches the chain's clients as their modules are imported."""

    def find_spec(self, name, path=None, target=None):
        if name not in _CHAINS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            client = getattr(module, _CHAINS[name])
            for ask in _ASKS:
                setattr(client, ask, _watched(getattr(client, ask), f"the chain is asked: {ask}"))

        spec.loader.exec_module = exec_module
        return spec


open(os.environ["NESTED_CONNECTIONS"], "a", encoding="utf-8").close()
event.listen(Pool, "checkout", _taken)
event.listen(Pool, "checkin", _given_back)
Future.result = _watched(Future.result, "another thread is waited for", lambda future: not future.done())
meta_path.insert(0, _Chains())
