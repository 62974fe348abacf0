// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {
    Account,
    CloseDispute,
    CommitStatement,
    Dispute,
    Finalise,
    ICostPools,
    Line,
    Net,
    SetBudget,
    StatementState,
    StatementStatus,
    Totals
} from "./interfaces/ICostPools.sol";
import {IDepartments} from "./interfaces/IDepartments.sol";
import {LargestRemainder} from "./lib/LargestRemainder.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {BUREAU, FINANCE, OVERSIGHT} from "./types/Codes.sol";
import {SEAT_REMOVED, SEAT_ROTATED} from "./types/OfficerWord.sol";

/// @title Cost pools: budgets, statements and their settlement
/// @notice See ICostPools for what it promises.
contract CostPools is ICostPools, SaltedDomain {
    bytes32 private constant SET_BUDGET_TYPEHASH = keccak256(
        "SetBudget(uint64 pool,uint24 department,uint80 deposited,uint80 withdrawn,bytes32 voucher,uint40 deadline)"
    );
    bytes32 private constant COMMIT_STATEMENT_TYPEHASH = keccak256(
        "CommitStatement(uint64 pool,uint32 period,uint32 version,bytes32 supersedes,bytes32 lineRoot,bytes32 netRoot,"
        "uint128 debits,uint32 members,uint40 window,bytes32 ruleHash,bytes32 inputRoot,uint40 deadline)"
    );
    bytes32 private constant DISPUTE_TYPEHASH =
        keccak256("Dispute(bytes32 statement,bytes32 line,bytes32 reason,uint40 deadline)");
    bytes32 private constant CLOSE_DISPUTE_TYPEHASH =
        keccak256("CloseDispute(bytes32 dispute,bytes32 reason,uint40 deadline)");
    bytes32 private constant FINALISE_TYPEHASH = keccak256("Finalise(bytes32 statement,uint40 deadline)");

    uint40 private constant LONGEST_WINDOW = 366 days;

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

    /// @notice Who holds which role.
    IDepartments public immutable departments;
    /// @notice The shortest dispute window a statement may ask for, in seconds.
    uint40 public immutable shortestWindow;

    mapping(uint256 poolAndDepartment => Account) private _accounts;
    mapping(uint64 pool => Totals) private _totals;
    mapping(bytes32 statement => StatementStatus) private _statements;
    mapping(uint256 poolAndPeriod => bytes32 statement) private _current;
    mapping(bytes32 dispute => DisputeRecord) private _disputes;

    constructor(IDepartments departments_, uint40 shortestWindow_)
        SaltedDomain("Civic Ledger CostPools", "1", departments_.salt())
    {
        departments = departments_;
        shortestWindow = shortestWindow_;
    }

    // ---- budgets ----------------------------------------------------------------------------------------------------

    /// @inheritdoc ICostPools
    function setBudget(SetBudget calldata m, bytes calldata signature) external {
        _requireInTime(m.deadline);
        _requireNotPaused();
        bytes32 digest = _digest(keccak256(abi.encode(SET_BUDGET_TYPEHASH, m)));
        _requireFinance(SignatureCheck.recover(digest, signature), m.department);

        Account storage held = _accounts[_accountKey(m.pool, m.department)];
        Account memory before = held;
        bool backwards = m.deposited < before.deposited || m.withdrawn < before.withdrawn;
        bool unchanged = m.deposited == before.deposited && m.withdrawn == before.withdrawn;
        if (backwards || unchanged) {
            revert StaleBudget(m.pool, m.department, before.deposited, before.withdrawn);
        }
        uint80 added = m.deposited - before.deposited;
        uint80 taken = m.withdrawn - before.withdrawn;
        uint256 available = uint256(before.balance) + added;
        if (taken > available) revert BudgetExceeded(m.pool, m.department, available, taken);
        uint80 balance = _balance(m.pool, m.department, available - taken);

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
        _requireFinance(SignatureCheck.recover(_digest(id), signature), _operator(m.pool));

        if (_statements[id].state != StatementState.None) revert AlreadyDone(id);
        if (m.members == 0) revert StatementEmpty();
        if (m.window < shortestWindow || m.window > LONGEST_WINDOW) {
            revert WindowOutOfRange(m.window, shortestWindow, LONGEST_WINDOW);
        }
        _supersede(m, id);

        _statements[id] = StatementStatus({
            state: StatementState.Open,
            version: m.version,
            committedAt: uint40(block.timestamp),
            disputableUntil: uint40(block.timestamp) + m.window,
            disputes: 0
        });
        emit StatementCommitted(id, m.pool, m.period, m, uint40(block.timestamp));
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
        StatementStatus storage status = _requireOpen(m.statement, statement);
        if (block.timestamp > status.disputableUntil) {
            revert DisputeWindowClosed(m.statement, status.disputableUntil);
        }
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
        StatementStatus storage status = _requireOpen(dispute.statement, statement);
        _requireLine(dispute, line);
        DisputeRecord storage record = _disputes[m.dispute];
        if (record.state != DisputeState.Open || m.dispute != _disputeId(dispute)) revert DisputeNotOpen(m.dispute);

        bytes32 digest = _digest(keccak256(abi.encode(CLOSE_DISPUTE_TYPEHASH, m)));
        address signer = SignatureCheck.recover(digest, signature);
        uint24 department = _requireCloser(signer, record.department, _operator(statement.pool), line);

        record.state = DisputeState.Closed;
        status.disputes -= 1;
        emit DisputeClosed(m.dispute, dispute.statement, department, m.reason);
    }

    /// @inheritdoc ICostPools
    function finalise(
        Finalise calldata m,
        CommitStatement calldata statement,
        Net[] calldata nets,
        bytes calldata signature
    ) external {
        _requireInTime(m.deadline);
        _requireNotPaused();
        StatementStatus storage status = _requireOpen(m.statement, statement);
        if (block.timestamp <= status.disputableUntil) {
            revert DisputeWindowOpen(m.statement, status.disputableUntil);
        }
        if (status.disputes != 0) revert OpenDisputes(m.statement, status.disputes);
        bytes32 digest = _digest(keccak256(abi.encode(FINALISE_TYPEHASH, m)));
        _requireFinance(SignatureCheck.recover(digest, signature), _operator(statement.pool));
        _requireComplete(m.statement, statement, nets);

        status.state = StatementState.Final;
        for (uint256 i = 0; i < nets.length; ++i) {
            _settle(m.statement, statement.pool, nets[i]);
        }
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

    // ---- who may ----------------------------------------------------------------------------------------------------

    function _requireNotPaused() private view {
        uint40 until = departments.pausedUntil();
        if (block.timestamp <= until) revert PausedUntil(until);
    }

    function _requireFinance(address signer, uint24 department) private view {
        uint24 has = departments.requireOfficer(signer, FINANCE);
        if (has != department) revert WrongDepartment(signer, has, department);
    }

    /// @dev A finance or oversight officer of the line's debtor or creditor.
    function _requireParty(address signer, Line calldata line) private view returns (uint24 department) {
        uint16 roles;
        (department, roles) = _seat(signer);
        if (department != line.debtor && department != line.creditor) {
            revert NotAParty(department, line.debtor, line.creditor);
        }
        if (roles & (FINANCE | OVERSIGHT) == 0) revert RoleMissing(signer, roles, FINANCE | OVERSIGHT);
    }

    /// @dev An officer who might have raised the dispute, or a bureau officer of a department without a stake in it.
    function _requireCloser(address signer, uint24 raiser, uint24 operator, Line calldata line)
        private
        view
        returns (uint24 department)
    {
        uint16 roles;
        (department, roles) = _seat(signer);
        if (department == raiser && roles & (FINANCE | OVERSIGHT) != 0) return department;
        departments.requireOfficer(signer, BUREAU);
        if (department == operator || department == line.debtor || department == line.creditor) {
            revert NotArbiter(department);
        }
    }

    /// @dev In office. Not: of an active department. To object narrows, as to revoke does, and no suspension may
    /// silence a debtor until its window has passed.
    function _seat(address signer) private view returns (uint24 department, uint16 roles) {
        uint40 notBefore;
        uint40 notAfter;
        uint8 flags;
        (department, roles, notBefore, notAfter, flags,) = departments.officer(signer);
        bool gone = flags & (SEAT_REMOVED | SEAT_ROTATED) != 0;
        if (gone || block.timestamp < notBefore || block.timestamp > notAfter) revert NotInOffice(signer);
    }

    // ---- rules ------------------------------------------------------------------------------------------------------

    /// @dev The new statement follows the one that stands. An unsettled one is replaced; a settled one stays, and
    /// the new one adjusts it.
    function _supersede(CommitStatement calldata statement, bytes32 id) private {
        uint256 key = _periodKey(statement.pool, statement.period);
        bytes32 standing = _current[key];
        uint32 version = _statements[standing].version;
        if (statement.supersedes != standing || statement.version != version + 1) {
            revert NotSuccessor(statement.pool, statement.period, standing, version);
        }
        _current[key] = id;
        if (_statements[standing].state == StatementState.Open) {
            _statements[standing].state = StatementState.Superseded;
            emit StatementSuperseded(standing, id);
        }
    }

    /// @dev A root says that a net was committed, not that these are all of them. So all are asked for, with no
    /// proof hashes beside them: the root has nothing else below it, and the relayer nothing to leave out.
    function _requireComplete(bytes32 id, CommitStatement calldata statement, Net[] calldata nets) private pure {
        if (nets.length != statement.members) revert MembersDiffer(id, nets.length, statement.members);
        bytes32[] memory leaves = new bytes32[](nets.length);
        bool[] memory bothAreNodes = new bool[](nets.length - 1);
        int256 sum = 0;
        uint256 debits = 0;
        uint24 previous = 0;
        for (uint256 i = 0; i < nets.length; ++i) {
            uint24 department = nets[i].department;
            int256 amount = nets[i].amount;
            if (department <= previous) revert MemberOrder(department, previous);
            previous = department;
            sum += amount;
            if (amount < 0) debits += uint256(-amount);
            leaves[i] = _leaf(Hashes.efficientKeccak256(bytes32(uint256(department)), bytes32(uint256(amount))));
            if (i != 0) bothAreNodes[i - 1] = true;
        }
        bytes32 root = MerkleProof.processMultiProof(new bytes32[](0), bothAreNodes, leaves);
        if (root != statement.netRoot) revert NetRootDiffers(id, root);
        if (sum != 0) revert NetsNotZero(id, sum);
        if (debits != statement.debits) revert DebitsDiffer(id, debits, statement.debits);
    }

    function _settle(bytes32 id, uint64 pool, Net calldata net) private {
        Account storage held = _accounts[_accountKey(pool, net.department)];
        int256 amount = net.amount;
        uint256 balance = held.balance;
        if (amount < 0) {
            uint256 owed = uint256(-amount);
            if (owed > balance) revert BudgetExceeded(pool, net.department, balance, owed);
            balance -= owed;
        } else {
            balance += uint256(amount);
        }
        uint80 settled = _balance(pool, net.department, balance);
        held.balance = settled;
        emit Settled(id, net.department, net.amount, settled);
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

    function _balance(uint64 pool, uint24 department, uint256 balance) private pure returns (uint80) {
        if (balance > type(uint80).max) revert BalanceTooLarge(pool, department, balance);
        return uint80(balance);
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
        if (dispute.line != _leaf(keccak256(abi.encode(line)))) revert NotALine(dispute.statement, dispute.line);
    }

    /// @dev Hashed twice, so that no inner node of a tree can pass for a leaf.
    function _leaf(bytes32 fields) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(fields));
    }
}
