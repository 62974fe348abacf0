"""The figures of a service for Prometheus, on a listener of their own (``CIVIC_METRICS``).

No label has an id, a department, a path or another value of a caller: labels are templates of routes, stable codes, and names
that the operator gave. The public address has no figures (docs/decisions/0025).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from typing import Any, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from api.http.exchanges import Exchange
from api.operator.gateway import Gateway
from api.protocol.version import installed
from api.runtime.asked_once import AskedOnce
from api.runtime.settings import Settings, SettingsInvalid, listening_address
from ledger.errors import LedgerError
from ledger.outbox.store import OPEN, open_acts
from ledger.projection.queries import followed_block
from ledger.worker import State

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0)
"""Upper limits of the buckets of the times of answers."""

STORED_WITHIN_S = 1.0
"""How long a collection waits for the database, in seconds."""


class Figures:
    """The figures of one service: what its exchanges add up to, and its present state at each collection."""

    def __init__(self, gateway: Gateway) -> None:
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "civic_http_answers",
            "Answers by method, template of the route, status and code (ok: a success).",
            ("method", "route", "status", "code"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "civic_http_answer_seconds",
            "Seconds from the head of a request to the last byte of its answer.",
            ("method", "route"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._bytes = Counter(
            "civic_http_answer_bytes", "Bytes of the bodies of answers.", ("route",), registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(PresentState(gateway))

    def heard(self, exchange: Exchange) -> None:
        """Count an exchange."""
        code = exchange.code or "ok"
        self._answers.labels(exchange.method, exchange.route, str(exchange.status), code).inc()
        self._seconds.labels(exchange.method, exchange.route).observe(exchange.ms / 1_000)
        self._bytes.labels(exchange.route).inc(exchange.bytes)


class PresentState(Collector):
    """The state of a service at the time of a collection. What cannot be found out in time is left out."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._stored = AskedOnce("metrics-store", self._read_store)

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that a registration asks for no state."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The present figures."""
        gateway = self._gateway
        build = InfoMetricFamily("civic_build", "Version, mode and edition of the contracts.")
        build.add_metric(
            [],
            {
                "version": installed()[1],
                "mode": gateway.home.mode,
                "edition": str(gateway.deployment.edition),
            },
        )
        yield build
        yield from self._faults()
        yield from self._chain()
        yield from self._of_store()
        yield from self._workers()
        yield from self._witnesses()
        scans = GaugeMetricFamily("civic_scan_workers", "Scanning processes.", labels=["state"])
        scans.add_metric(["started"], len(gateway.scanner.process_ids()))
        scans.add_metric(["busy"], gateway.scanner.busy)
        yield scans
        yield from self._disks()

    def _faults(self) -> Iterator[Metric]:
        report = self._gateway.ready.report()
        yield _one("civic_ready", "1 if calls can be decided and logged (GET /readyz).", not report.reasons)
        faults = GaugeMetricFamily(
            "civic_fault",
            "1 for each present fault, as GET /readyz names it.",
            labels=["kind", "part", "code"],
        )
        for kind, findings in (("reason", report.reasons), ("warning", report.warnings)):
            for one in findings:
                faults.add_metric([kind, one.part, one.code], 1)
        yield faults

    def _chain(self) -> Iterator[Metric]:
        service = self._gateway.service
        head = service.newest_block.ask()
        yield _one("civic_chain_reached", "1 if the chain's node answers within a second.", head is not None)
        if head is not None:
            age = self._gateway.clock.now() - head.timestamp
            yield _one("civic_chain_head_block", "Number of the newest block.", head.number)
            yield _one("civic_chain_head_age_seconds", "Seconds since the time of the newest block.", age)
        yield _one(
            "civic_projection_lag_seconds",
            "Seconds since the projection was level with the chain; +Inf before the first time.",
            service.following.follower.behind_s,
        )

    def _read_store(self) -> tuple[dict[str, int], int, int, int]:
        with self._gateway.reading.connect() as connection:
            acts, followed = open_acts(connection), followed_block(connection)
        anchored = self._gateway.service.anchored()
        return acts, followed, self._gateway.log.size, anchored["size"] if anchored else 0

    def _of_store(self) -> Iterator[Metric]:
        try:
            acts, followed, size, anchored = self._stored.begin().result(STORED_WITHIN_S)
        except (FutureTimeout, LedgerError, SQLAlchemyError, OSError):
            yield _one("civic_database_up", "1 if the database answers.", False)
            return
        yield _one("civic_database_up", "1 if the database answers.", True)
        waiting = GaugeMetricFamily("civic_acts_waiting", "Acts that are not recorded yet.", labels=["state"])
        for state in OPEN:
            waiting.add_metric([state], acts.get(state, 0))
        yield waiting
        yield _one("civic_chain_followed_block", "Number of the last block in the projection.", followed)
        yield _one("civic_log_entries", "Entries of the log.", size)
        yield _one("civic_log_anchored_entries", "Entries under the newest anchored head.", anchored)

    def _workers(self) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            "civic_worker_state", "1 for the present state of each worker.", labels=["worker", "state"]
        )
        for name, worker in self._gateway.workers.by_name.items():
            present = worker.state
            for state in get_args(State):
                states.add_metric([name, state], state == present)
        yield states

    def _witnesses(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "civic_witness_up", "1 if the witness cosigned when it was asked last.", labels=["witness"]
        )
        sizes = GaugeMetricFamily(
            "civic_witness_entries", "Entries under the newest head it cosigned.", labels=["witness"]
        )
        for witness in self._gateway.cosign.status():
            up.add_metric([witness["name"]], witness["problem"] is None)
            sizes.add_metric([witness["name"]], (witness["cosigned"] or {"size": 0})["size"])
        yield from (up, sizes)

    def _disks(self) -> Iterator[Metric]:
        free = GaugeMetricFamily("civic_disk_free_bytes", "Free bytes of a disk.", labels=["disk"])
        whole = GaugeMetricFamily("civic_disk_bytes", "Bytes of a disk.", labels=["disk"])
        for name, folder in self._gateway.ready.disks.items():
            try:
                usage = shutil.disk_usage(folder)
            except OSError:
                continue
            free.add_metric([name], usage.free)
            whole.add_metric([name], usage.total)
        yield from (free, whole)


@contextmanager
def served(figures: Figures, settings: Settings) -> Iterator[str]:
    """Serve the figures at ``CIVIC_METRICS``; gives the URL. SettingsInvalid if the address cannot be listened on."""
    host, port = listening_address(settings.metrics)
    try:
        server, thread = start_http_server(port, host, figures.registry)
    except OSError as taken:
        raise SettingsInvalid(
            f"CIVIC_METRICS: {settings.metrics} cannot be listened on: {taken.strerror}",
            hint="give another address or port",
        ) from taken
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _one(name: str, what: str, value: Any) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, value=float(value))
