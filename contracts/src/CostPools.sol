// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {
    Account,
    CloseDispute,
    CommitStatement,
    Dispute,
    Finalise,
    ICostPools,
    Line,
    Objection,
    SetBudget,
    ShowLines,
    StatementState,
    StatementStatus,
    Totals
} from "./interfaces/ICostPools.sol";
import {IDepartments} from "./interfaces/IDepartments.sol";
import {LargestRemainder} from "./lib/LargestRemainder.sol";
import {Lines} from "./lib/Lines.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {PoolOffices} from "./PoolOffices.sol";
import {FINANCE} from "./types/Codes.sol";
import {DeptWord} from "./types/DeptWord.sol";

/// @title Cost pools: budgets, statements and their settlement
/// @notice See ICostPools for what it promises.
contract CostPools is PoolOffices, SaltedDomain {
    bytes32 private constant SET_BUDGET_TYPEHASH = keccak256(
        "SetBudget(uint64 pool,uint24 department,uint80 deposited,uint80 withdrawn,bytes32 voucher,uint40 deadline)"
    );
    bytes32 private constant COMMIT_STATEMENT_TYPEHASH = keccak256(
        "CommitStatement(uint64 pool,uint32 period,uint32 version,bytes32 supersedes,bytes32 lineRoot,uint32 lines,"
        "uint128 debits,uint32 members,uint40 window,bytes32 ruleHash,bytes32 inputRoot,uint40 deadline)"
    );
    bytes32 private constant OBJECTION_TYPEHASH =
        keccak256("Objection(bytes32 statement,bytes32 reason,uint40 deadline)");
    bytes32 private constant SHOW_LINES_TYPEHASH = keccak256("ShowLines(bytes32 statement,uint40 deadline)");
    bytes32 private constant DISPUTE_TYPEHASH =
        keccak256("Dispute(bytes32 statement,bytes32 line,bytes32 reason,uint40 deadline)");
    bytes32 private constant CLOSE_DISPUTE_TYPEHASH =
        keccak256("CloseDispute(bytes32 dispute,bytes32 reason,uint40 deadline)");
    bytes32 private constant FINALISE_TYPEHASH = keccak256("Finalise(bytes32 statement,uint40 deadline)");

    uint40 private constant LONGEST_WINDOW = 366 days;
    uint40 private constant SETTLED_WITHIN = 90 days;
    /// 2^24 accounts of a pool, each below this: no sum of them, and so no balance, comes to 2^80.
    uint80 private constant MOST_DEPOSITED = 2 ** 56 - 1;

    enum DisputeState {
        None,
        Open,
        Closed
    }

    /// @dev One slot. `state` never returns to None.
    struct DisputeRecord {
        DisputeState state;
        uint24 department;
    }

    /// @notice The shortest dispute window a statement may ask for, in seconds.
    uint40 public immutable shortestWindow;

    mapping(uint256 poolAndDepartment => Account) private _accounts;
    mapping(uint64 pool => Totals) private _totals;
    mapping(bytes32 statement => StatementStatus) private _statements;
    mapping(uint256 poolAndPeriod => bytes32 statement) private _current;
    mapping(bytes32 dispute => DisputeRecord) private _disputes;

    constructor(IDepartments departments_, uint40 shortestWindow_)
        PoolOffices(departments_)
        SaltedDomain("Civic Ledger CostPools", "1", departments_.salt(), address(this))
    {
        shortestWindow = shortestWindow_;
    }

    // ---- budgets ----------------------------------------------------------------------------------------------------

    /// @inheritdoc ICostPools
    function setBudget(SetBudget calldata m, bytes calldata signature) external {
        _requireInTime(m.deadline);
        bytes32 digest = _digest(keccak256(abi.encode(SET_BUDGET_TYPEHASH, m)));
        address signer = SignatureCheck.recover(digest, signature);

        Account storage held = _accounts[_accountKey(m.pool, m.department)];
        Account memory before = held;
        bool backwards = m.deposited < before.deposited || m.withdrawn < before.withdrawn;
        bool unchanged = m.deposited == before.deposited && m.withdrawn == before.withdrawn;
        if (backwards || unchanged) {
            revert StaleBudget(m.pool, m.department, before.deposited, before.withdrawn);
        }
        uint80 added = m.deposited - before.deposited;
        if (added == 0) {
            _requireOwnFinance(signer, m.department);
        } else {
            _requireNotPaused();
            _requireRole(signer, FINANCE, m.department);
            if (m.deposited > MOST_DEPOSITED) revert DepositTooLarge(m.pool, m.department, m.deposited);
        }
        uint80 taken = m.withdrawn - before.withdrawn;
        uint80 available = before.balance + added;
        if (taken > available) revert BudgetExceeded(m.pool, m.department, available, taken);
        uint80 balance = available - taken;

        held.balance = balance;
        held.deposited = m.deposited;
        held.withdrawn = m.withdrawn;
        Totals storage totals = _totals[m.pool];
        totals.deposited += added;
        totals.withdrawn += taken;
        emit Budgeted(m.pool, m.department, m.deposited, m.withdrawn, balance, m.voucher);
    }

    // ---- statements -------------------------------------------------------------------------------------------------

    /// @inheritdoc ICostPools
    function commitStatement(CommitStatement calldata m, bytes calldata signature) external returns (bytes32 id) {
        _requireInTime(m.deadline);
        _requireNotPaused();
        id = _statementId(m);
        _requireRole(SignatureCheck.recover(_digest(id), signature), FINANCE, _operator(m.pool));

        if (_statements[id].state != StatementState.None) revert AlreadyDone(id);
        if (m.lines == 0 || m.members == 0) revert StatementEmpty();
        if (m.window < shortestWindow || m.window > LONGEST_WINDOW) {
            revert WindowOutOfRange(m.window, shortestWindow, LONGEST_WINDOW);
        }
        bytes32 standing = _requireNext(m);
        StatementStatus storage before = _statements[standing];
        bool open = before.state == StatementState.Open;
        uint32 disputes = open ? before.disputes : 0;
        bool objected = open && before.objected;

        _current[_periodKey(m.pool, m.period)] = id;
        _statements[id] = StatementStatus({
            state: StatementState.Open,
            version: m.version,
            committedAt: uint40(block.timestamp),
            disputableUntil: uint40(block.timestamp) + m.window,
            disputes: disputes,
            objected: objected,
            shown: false,
            waitsUntil: 0
        });
        emit StatementCommitted(id, m.pool, m.period, m, uint40(block.timestamp));
        if (!open) return id;

        before.state = StatementState.Superseded;
        before.disputes = 0;
        emit StatementSuperseded(standing, id, disputes, objected);
    }

    /// @inheritdoc ICostPools
    function raiseObjection(Objection calldata m, CommitStatement calldata statement, bytes calldata signature) external {
        _requireInTime(m.deadline);
        StatementStatus storage status = _requireDisputable(m.statement, statement);
        if (status.shown) revert AlreadyShown(m.statement);
        if (status.objected) revert AlreadyObjected(m.statement);
        bytes32 digest = _digest(keccak256(abi.encode(OBJECTION_TYPEHASH, m)));
        uint24 department = _requireSpeaker(SignatureCheck.recover(digest, signature));

        status.objected = true;
        emit Objected(m.statement, department, m.reason);
    }

    /// @inheritdoc ICostPools
    function showLines(
        ShowLines calldata m,
        CommitStatement calldata statement,
        Line[] calldata lines,
        bytes calldata signature
    ) external {
        _requireInTime(m.deadline);
        StatementStatus storage status = _requireOpen(m.statement, statement);
        _requireNotExpired(m.statement, status);
        if (status.shown) revert AlreadyShown(m.statement);
        bytes32 digest = _digest(keccak256(abi.encode(SHOW_LINES_TYPEHASH, m)));
        uint24 department = _requireSpeaker(SignatureCheck.recover(digest, signature));
        _requireAllLines(m.statement, statement, lines);

        uint40 until = uint40(block.timestamp) + shortestWindow;
        if (until < status.disputableUntil) until = status.disputableUntil;
        status.shown = true;
        status.disputableUntil = until;
        emit LinesShown(m.statement, department, lines, until);
    }

    /// @inheritdoc ICostPools
    function raiseDispute(
        Dispute calldata m,
        CommitStatement calldata statement,
        Line calldata line,
        bytes32[] calldata proof,
        bytes calldata signature
    ) external returns (bytes32 id) {
        _requireInTime(m.deadline);
        StatementStatus storage status = _requireDisputable(m.statement, statement);
        _requireLine(m, line);
        if (!MerkleProof.verifyCalldata(proof, statement.lineRoot, m.line)) revert NotALine(m.statement, m.line);

        id = _disputeId(m);
        uint24 department = _requireParty(SignatureCheck.recover(_digest(id), signature), line);
        if (_disputes[id].state != DisputeState.None) revert AlreadyDone(id);

        _disputes[id] = DisputeRecord(DisputeState.Open, department);
        status.disputes += 1;
        emit DisputeRaised(id, m.statement, department, line, m.reason);
    }

    /// @inheritdoc ICostPools
    function closeDispute(
        CloseDispute calldata m,
        Dispute calldata dispute,
        CommitStatement calldata statement,
        Line calldata line,
        bytes calldata signature
    ) external {
        _requireInTime(m.deadline);
        if (dispute.statement != _statementId(statement)) revert StatementUnknown(dispute.statement);
        _requireLine(dispute, line);
        DisputeRecord storage record = _disputes[m.dispute];
        if (record.state != DisputeState.Open || m.dispute != _disputeId(dispute)) revert DisputeNotOpen(m.dispute);

        bytes32 digest = _digest(keccak256(abi.encode(CLOSE_DISPUTE_TYPEHASH, m)));
        address signer = SignatureCheck.recover(digest, signature);
        (uint24 department, bool dismissed) = _requireCloser(signer, record.department, _operator(statement.pool), line);

        // An open dispute stands against the period's current statement, whichever version it was raised against.
        StatementStatus storage status = _statements[_current[_periodKey(statement.pool, statement.period)]];
        record.state = DisputeState.Closed;
        status.disputes -= 1;
        uint40 waits = 0;
        if (dismissed) {
            waits = uint40(block.timestamp) + shortestWindow;
            status.waitsUntil = waits;
        }
        emit DisputeClosed(m.dispute, dispute.statement, department, m.reason, waits);
    }

    /// @inheritdoc ICostPools
    function finalise(
        Finalise calldata m,
        CommitStatement calldata statement,
        Line[] calldata lines,
        bytes calldata finance,
        bytes calldata oversight
    ) external {
        _requireInTime(m.deadline);
        _requireNotPaused();
        StatementStatus storage status = _requireOpen(m.statement, statement);
        if (block.timestamp <= status.disputableUntil) {
            revert DisputeWindowOpen(m.statement, status.disputableUntil);
        }
        if (block.timestamp <= status.waitsUntil) revert DismissalWaits(m.statement, status.waitsUntil);
        _requireNotExpired(m.statement, status);
        if (status.disputes != 0) revert OpenDisputes(m.statement, status.disputes);
        if (status.objected && !status.shown) revert LinesNotShown(m.statement);
        _requireTwo(_digest(keccak256(abi.encode(FINALISE_TYPEHASH, m))), finance, oversight, _operator(statement.pool));
        _requireAllLines(m.statement, statement, lines);

        status.state = StatementState.Final;
        _settleAll(m.statement, statement, lines);
        emit StatementFinal(m.statement, statement.pool, statement.period, uint40(block.timestamp));
    }

    // ---- views ------------------------------------------------------------------------------------------------------

    /// @inheritdoc ICostPools
    function account(uint64 pool, uint24 department) external view returns (Account memory) {
        return _accounts[_accountKey(pool, department)];
    }

    /// @inheritdoc ICostPools
    function accounts(uint64 pool, uint24[] calldata departments_)
        external
        view
        returns (Totals memory totals, Account[] memory found)
    {
        totals = _totals[pool];
        found = new Account[](departments_.length);
        for (uint256 i = 0; i < departments_.length; ++i) {
            found[i] = _accounts[_accountKey(pool, departments_[i])];
        }
    }

    /// @inheritdoc ICostPools
    function statementStatus(bytes32 id) external view returns (StatementStatus memory) {
        return _statements[id];
    }

    /// @inheritdoc ICostPools
    function currentStatement(uint64 pool, uint32 period)
        external
        view
        returns (bytes32 id, StatementStatus memory)
    {
        id = _current[_periodKey(pool, period)];
        return (id, _statements[id]);
    }

    /// @inheritdoc ICostPools
    function split(uint128 cost, uint64[] calldata weights, bytes32[] calldata ties)
        external
        pure
        returns (uint128[] memory shares)
    {
        if (weights.length != ties.length) revert LengthsDiffer(weights.length, ties.length);
        for (uint256 i = 0; i < weights.length; ++i) {
            if (weights[i] != 0) return LargestRemainder.split(cost, weights, ties);
        }
        if (cost != 0) revert NoWeight(cost);
        return new uint128[](weights.length);
    }

    // ---- rules ------------------------------------------------------------------------------------------------------

    /// @dev The new statement follows the one that stands. An unsettled one is replaced; a settled one stays, and
    /// the new one adjusts it.
    function _requireNext(CommitStatement calldata statement) private view returns (bytes32 standing) {
        standing = _current[_periodKey(statement.pool, statement.period)];
        uint32 version = _statements[standing].version;
        if (statement.supersedes != standing || statement.version != version + 1) {
            revert NotSuccessor(statement.pool, statement.period, standing, version);
        }
    }

    /// @dev A root says that a line was committed, not that these are all of them. So all are asked for, with no
    /// proof hashes beside them: who submits has nothing to leave out.
    function _requireAllLines(bytes32 id, CommitStatement calldata statement, Line[] calldata lines) private pure {
        if (lines.length != statement.lines) revert LinesDiffer(id, lines.length, statement.lines);
        bytes32 root = Lines.root(lines);
        if (root != statement.lineRoot) revert LineRootDiffers(id, root);
    }

    /// @dev What a member receives or pays is the sum of its lines, and nothing that anybody says.
    function _settleAll(bytes32 id, CommitStatement calldata statement, Line[] calldata lines) private {
        (int256[] memory table, uint256 found) = Lines.nets(lines, statement.members);
        if (found != statement.members) revert MembersDiffer(id, found, statement.members);
        uint256 debits = 0;
        uint256 group = type(uint256).max;
        DeptWord standings;
        for (uint256 i = 0; i < table.length; ++i) {
            if (table[i] == 0) continue;
            (uint24 department, int256 amount) = Lines.net(table[i]);
            if (amount > 0) {
                if (department >> 6 != group) {
                    group = department >> 6;
                    standings = DeptWord.wrap(departments.standings(group));
                }
                if (standings.standing(department) == 0) revert DepartmentNotActive(department, 0);
            } else {
                debits += uint256(-amount);
            }
            _settle(id, statement.pool, department, amount);
        }
        if (debits != statement.debits) revert DebitsDiffer(id, debits, statement.debits);
    }

    /// @dev Nothing is cut off: whatever is credited is debited in the same transaction from balances that hold it, and
    /// all balances of a pool together are below 2^80 (MOST_DEPOSITED). Proof: contracts/analysis/proofs/PoolBalances.sol
    function _settle(bytes32 id, uint64 pool, uint24 department, int256 amount) private {
        Account storage held = _accounts[_accountKey(pool, department)];
        int256 settled = int256(uint256(held.balance)) + amount;
        if (settled < 0) revert BudgetExceeded(pool, department, held.balance, uint256(-amount));
        held.balance = uint80(uint256(settled));
        emit Settled(id, department, int128(amount), uint80(uint256(settled)));
    }

    function _requireOpen(bytes32 id, CommitStatement calldata statement)
        private
        view
        returns (StatementStatus storage status)
    {
        status = _statements[id];
        if (status.state == StatementState.None || id != _statementId(statement)) revert StatementUnknown(id);
        if (status.state != StatementState.Open) revert StatementNotOpen(id, status.state);
    }

    function _requireDisputable(bytes32 id, CommitStatement calldata statement)
        private
        view
        returns (StatementStatus storage status)
    {
        status = _requireOpen(id, statement);
        if (block.timestamp > status.disputableUntil) revert DisputeWindowClosed(id, status.disputableUntil);
    }

    function _requireNotExpired(bytes32 id, StatementStatus storage status) private view {
        uint40 until = status.disputableUntil + SETTLED_WITHIN;
        if (block.timestamp > until) revert StatementExpired(id, until);
    }

    // ---- names ------------------------------------------------------------------------------------------------------

    function _operator(uint64 pool) private pure returns (uint24) {
        return uint24(pool >> 40);
    }

    function _accountKey(uint64 pool, uint24 department) private pure returns (uint256) {
        return uint256(pool) << 24 | department;
    }

    function _periodKey(uint64 pool, uint32 period) private pure returns (uint256) {
        return uint256(pool) << 32 | period;
    }

    /// @dev Every field is static and the struct has no padding to choose: its ABI encoding is its EIP-712 encoding.
    function _statementId(CommitStatement calldata statement) private pure returns (bytes32) {
        return keccak256(abi.encode(COMMIT_STATEMENT_TYPEHASH, statement));
    }

    function _disputeId(Dispute calldata dispute) private pure returns (bytes32) {
        return keccak256(abi.encode(DISPUTE_TYPEHASH, dispute));
    }

    function _requireLine(Dispute calldata dispute, Line calldata line) private pure {
        if (dispute.line != Lines.leaf(line)) revert NotALine(dispute.statement, dispute.line);
    }
}
