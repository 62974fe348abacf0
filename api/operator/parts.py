"""Assembles calls, acts and queries of the log from the parts of a running service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from access_policy.privacy.execution.scanner import Scanner
from api.acts.acceptance import Acceptances
from api.acts.expected_files import ExpectedFiles
from api.acts.govern import Acts
from api.acts.outcomes import ActOutcomes
from api.acts.source_records import SourceRecords
from api.acts.trial import ContractTrial
from api.acts.upload import Uploads
from api.calls.access_requests import AccessRequests
from api.calls.analyses import Access
from api.calls.buffering import Buffering
from api.calls.candidate_grants import GrantSources
from api.calls.charge import Charging
from api.calls.dataset_sources import DatasetSources
from api.calls.decide import Decisions
from api.calls.log_bundles import LogBundles
from api.calls.log_entries import LogEntries
from api.calls.log_proofs import LogProofs
from api.calls.log_search import LogSearch
from api.calls.looks import Looks
from api.calls.read import Reads
from api.calls.release_records import ReleaseRecords
from api.calls.releases import Releases
from api.calls.repeats import Repeats
from api.calls.rights import Rights
from api.calls.standings import Standings
from api.operator.foundation import Foundation
from api.operator.gateway import ActParts, CallParts, LogParts
from api.runtime.call_nonces import CallNonces, nonces_kept_s
from api.runtime.callers import Callers
from api.runtime.chain_states import ChainStates, ChainVersions
from api.runtime.commits import Commits
from api.runtime.following import Following
from api.runtime.grant_uses import GrantUses
from api.runtime.spent_nonces import SpentNonces
from api.runtime.status import Workers
from api.runtime.withholding import Withholding
from ledger.grants.acceptances import AcceptanceProofs
from ledger.outbox import PendingRevocations


@dataclass(frozen=True, slots=True)
class Shared:
    """The parts that calls and acts share: the permitted callers, the state of the chain, and the commits to the
    log."""

    states: ChainStates
    versions: ChainVersions
    following: Following
    withholding: Withholding
    nonces: CallNonces
    commits: Commits
    callers: Callers
    looks: Looks


def shared_by_all(base: Foundation, workers: Workers, spent: SpentNonces) -> Shared:
    """The shared parts."""
    time = base.clock
    states = ChainStates(base.chain, base.deployment, time, base.reached)
    following = Following(workers.follower, time, float(base.settings.chain_outage_s))
    withholding = Withholding(base.newer, workers.anchorer, following, time)
    nonces = CallNonces(spent, time, nonces_kept_s(base.settings))
    commits = Commits(base.writer, withholding, nonces)
    callers = Callers(base.reading, states, time)
    return Shared(
        states,
        ChainVersions(base.chain, base.deployment),
        following,
        withholding,
        nonces,
        commits,
        callers,
        Looks(callers, commits, time),
    )


def call_parts(base: Foundation, shared: Shared, scanner: Scanner) -> CallParts:
    """The parts of signed calls, and of queries about the grants in force."""
    settings, time, reading = base.settings, base.clock, base.reading
    states, withholding, commits = shared.states, shared.withholding, shared.commits
    grants = GrantSources(
        PendingRevocations(), AcceptanceProofs(base.deployment, base.log), GrantUses(base.uses)
    )
    sources = DatasetSources(reading, states, shared.versions, shared.following, time, base.home.data)
    keep = timedelta(seconds=settings.idempotency_keep_s)
    repeats = Repeats(base.log, base.openings, base.secrets.pseudonyms, keep)
    rights = Rights(reading, grants.revocations, states, shared.callers, withholding, time)
    standings = Standings(reading, shared.following, states, grants)
    return CallParts(
        reads=Reads(
            Decisions(reading, sources, grants, states, repeats, time),
            Buffering(scanner, base.secrets.pseudonyms, settings.buffer_bytes, rights),
            Charging(commits, shared.nonces, withholding, grants, repeats, time),
            withholding,
        ),
        releases=Releases(reading, commits, repeats, time),
        records=ReleaseRecords(reading, base.log, repeats, shared.looks),
        requests=AccessRequests(reading, sources, shared.callers, commits, shared.looks, time),
        standings=standings,
        access=Access(standings, time),
    )


def log_parts(base: Foundation, shared: Shared) -> LogParts:
    """The parts that show the log."""
    log, looks = base.log, shared.looks
    return LogParts(
        proofs=LogProofs(log, looks),
        search=LogSearch(log, looks, base.clock, base.secrets.pseudonyms),
        entries=LogEntries(log, base.openings, base.reading, looks),
        bundles=LogBundles(
            log,
            base.deployment,
            base.cosign,
            looks,
            base.home.temporary,
            float(base.settings.export_timeout_s),
        ),
    )


def act_parts(
    base: Foundation, shared: Shared, workers: Workers, scanner: Scanner, admission_delay: int
) -> ActParts:
    """The parts that accept acts, acceptances and files. ``admission_delay`` is in seconds."""
    settings, time, reading, data = base.settings, base.clock, base.reading, base.home.data
    outcomes = ActOutcomes(reading, workers.follower, base.log, time)
    files = ExpectedFiles(reading, shared.states, shared.versions, time, data, settings.department_bytes)
    return ActParts(
        acts=Acts(
            settings=settings,
            data=data,
            reading=reading,
            clock=time,
            deployment=base.deployment,
            admission_delay=admission_delay,
            trial=ContractTrial(base.chain, base.deployment, shared.states, base.secrets.relayer_address),
            recorder=workers.recorder,
            withholding=shared.withholding,
            commits=shared.commits,
            relayer=workers.relayer,
            outcomes=outcomes,
        ),
        outcomes=outcomes,
        acceptances=Acceptances(reading, base.deployment, shared.states, shared.commits, time),
        uploads=Uploads(files, scanner, shared.commits, workers.relayer, time),
        sources=SourceRecords(reading, base.log, base.openings, shared.states, shared.looks, time, data),
    )
