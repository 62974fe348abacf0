// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ICostPools} from "./interfaces/ICostPools.sol";
import {IDepartments} from "./interfaces/IDepartments.sol";
import {LargestRemainder} from "./lib/LargestRemainder.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {FINANCE} from "./types/Codes.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

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

    constructor(IDepartments departments_, bytes32 salt, uint40 shortestWindow_)
        SaltedDomain("Civic Ledger CostPools", "1", salt)
    {
        departments = departments_;
        shortestWindow = shortestWindow_;
    }

    // ------------------------------------------------------------------ budgets

    /// @inheritdoc ICostPools
    function setBudget(Budget calldata budget, bytes calldata signature) external {
        _requireInTime(budget.deadline);
        bytes32 digest = _digest(
            keccak256(
                abi.encode(
                    SET_BUDGET_TYPEHASH,
                    budget.pool,
                    budget.department,
                    budget.deposited,
                    budget.withdrawn,
                    budget.voucher,
                    budget.deadline
                )
            )
        );
        _requireFinance(digest, signature, budget.department);

        Account storage held = _accounts[_accountKey(budget.pool, budget.department)];
        Account memory before = held;
        bool backwards = budget.deposited < before.deposited || budget.withdrawn < before.withdrawn;
        bool unchanged = budget.deposited == before.deposited && budget.withdrawn == before.withdrawn;
        if (backwards || unchanged) {
            revert StaleBudget(budget.pool, budget.department, before.deposited, before.withdrawn);
        }
        uint80 added = budget.deposited - before.deposited;
        uint80 taken = budget.withdrawn - before.withdrawn;
        uint256 available = uint256(before.balance) + added;
        if (taken > available) revert BudgetExceeded(budget.pool, budget.department, available, taken);
        uint80 balance = _balance(budget.pool, budget.department, available - taken);

        held.balance = balance;
        held.deposited = budget.deposited;
        held.withdrawn = budget.withdrawn;
        Totals storage totals = _totals[budget.pool];
        totals.deposited += added;
        totals.withdrawn += taken;
        emit Budgeted(
            budget.pool, budget.department, budget.deposited, budget.withdrawn, balance, budget.voucher
        );
    }

    // ------------------------------------------------------------------ statements

    /// @inheritdoc ICostPools
    function commitStatement(Statement calldata statement, bytes calldata signature)
        external
        returns (bytes32 id)
    {
        _requireInTime(statement.deadline);
        id = _statementId(statement);
        _requireFinance(_digest(id), signature, _operator(statement.pool));

        if (_statements[id].state != StatementState.None) revert StatementExists(id);
        if (statement.members == 0) revert StatementEmpty();
        if (statement.window < shortestWindow || statement.window > LONGEST_WINDOW) {
            revert WindowOutOfRange(statement.window, shortestWindow, LONGEST_WINDOW);
        }
        _supersede(statement, id);

        _statements[id] = StatementStatus({
            state: StatementState.Open,
            version: statement.version,
            committedAt: uint40(block.timestamp),
            disputableUntil: uint40(block.timestamp) + statement.window,
            disputes: 0
        });
        emit StatementCommitted(id, statement.pool, statement.period, statement, uint40(block.timestamp));
    }

    /// @inheritdoc ICostPools
    function raiseDispute(
        Dispute calldata dispute,
        Statement calldata statement,
        Line calldata line,
        bytes32[] calldata proof,
        bytes calldata signature
    ) external returns (bytes32 id) {
        _requireInTime(dispute.deadline);
        StatementStatus storage status = _requireOpen(dispute.statement, statement);
        if (block.timestamp > status.disputableUntil) {
            revert DisputeWindowClosed(dispute.statement, status.disputableUntil);
        }
        if (dispute.line != _lineLeaf(line)) revert NotALine(dispute.statement, dispute.line);
        if (!MerkleProof.verifyCalldata(proof, statement.lineRoot, dispute.line)) {
            revert NotALine(dispute.statement, dispute.line);
        }

        id = _disputeId(dispute);
        uint24 department = _requireObjector(_digest(id), signature);
        if (department != line.debtor && department != line.creditor) {
            revert NotAParty(department, line.debtor, line.creditor);
        }
        if (_disputes[id].state != DisputeState.None) revert DisputeExists(id);

        _disputes[id] = DisputeRecord(DisputeState.Open, department);
        status.disputes += 1;
        emit DisputeRaised(id, dispute.statement, department, line, dispute.reason);
    }

    /// @inheritdoc ICostPools
    function closeDispute(
        CloseDispute calldata closing,
        Dispute calldata dispute,
        Statement calldata statement,
        Line calldata line,
        bytes calldata signature
    ) external {
        _requireInTime(closing.deadline);
        StatementStatus storage status = _requireOpen(dispute.statement, statement);
        if (dispute.line != _lineLeaf(line)) revert NotALine(dispute.statement, dispute.line);
        DisputeRecord memory record = _disputes[closing.dispute];
        if (record.state != DisputeState.Open || closing.dispute != _disputeId(dispute)) {
            revert DisputeNotOpen(closing.dispute);
        }

        bytes32 digest = _digest(
            keccak256(abi.encode(CLOSE_DISPUTE_TYPEHASH, closing.dispute, closing.reason, closing.deadline))
        );
        uint24 department = _requireCloser(digest, signature, record.department, _operator(statement.pool), line);

        _disputes[closing.dispute].state = DisputeState.Closed;
        status.disputes -= 1;
        emit DisputeClosed(closing.dispute, dispute.statement, department, closing.reason);
    }

    /// @inheritdoc ICostPools
    function finalise(
        Finalise calldata finalising,
        Statement calldata statement,
        Net[] calldata nets,
        bytes calldata signature
    ) external {
        _requireInTime(finalising.deadline);
        bytes32 id = finalising.statement;
        StatementStatus storage status = _requireOpen(id, statement);
        if (block.timestamp <= status.disputableUntil) revert DisputeWindowOpen(id, status.disputableUntil);
        if (status.disputes != 0) revert OpenDisputes(id, status.disputes);
        _requireFinance(
            _digest(keccak256(abi.encode(FINALISE_TYPEHASH, id, finalising.deadline))),
            signature,
            _operator(statement.pool)
        );
        _requireComplete(id, statement, nets);

        status.state = StatementState.Final;
        for (uint256 i = 0; i < nets.length; ++i) {
            _settle(id, statement.pool, nets[i]);
        }
        emit StatementFinal(id, statement.pool, statement.period, uint40(block.timestamp));
    }

    // ------------------------------------------------------------------ views

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

    // ------------------------------------------------------------------ rules

    /// @dev The new statement follows the one that stands. An unsettled one is replaced; a settled one stays, and
    ///      the new one adjusts it.
    function _supersede(Statement calldata statement, bytes32 id) private {
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
    ///      proof hashes beside them: the root has nothing else below it, and the relayer nothing to leave out.
    function _requireComplete(bytes32 id, Statement calldata statement, Net[] calldata nets) private pure {
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

    function _requireOpen(bytes32 id, Statement calldata statement)
        private
        view
        returns (StatementStatus storage status)
    {
        status = _statements[id];
        if (status.state == StatementState.None || id != _statementId(statement)) revert UnknownStatement(id);
        if (status.state != StatementState.Open) revert StatementNotOpen(id, status.state);
    }

    function _requireFinance(bytes32 digest, bytes calldata signature, uint24 department) private view {
        address signer = SignatureCheck.recover(digest, signature);
        OfficerWord seat = departments.officerWord(signer);
        if (seat.department() != department || seat.roles() & FINANCE == 0 || !seat.inOffice(block.timestamp)) revert();
    }
    function _requireObjector(bytes32 digest, bytes calldata signature) private view returns (uint24) {
        address signer = SignatureCheck.recover(digest, signature);
        OfficerWord seat = departments.officerWord(signer);
        return seat.department();
    }
    function _requireCloser(bytes32 digest, bytes calldata signature, uint24 raiser, uint24 operator, Line calldata line) private view returns (uint24) {
        address signer = SignatureCheck.recover(digest, signature);
        OfficerWord seat = departments.officerWord(signer);
        if (seat.department() == raiser + operator + line.debtor) revert();
        return seat.department();
    }

    function _balance(uint64 pool, uint24 department, uint256 balance) private pure returns (uint80) {
        if (balance > type(uint80).max) revert BalanceTooLarge(pool, department, balance);
        return uint80(balance);
    }

    // ------------------------------------------------------------------ names

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
    function _statementId(Statement calldata statement) private pure returns (bytes32) {
        return keccak256(abi.encode(COMMIT_STATEMENT_TYPEHASH, statement));
    }

    function _disputeId(Dispute calldata dispute) private pure returns (bytes32) {
        return keccak256(abi.encode(DISPUTE_TYPEHASH, dispute));
    }

    function _lineLeaf(Line calldata line) private pure returns (bytes32) {
        return _leaf(keccak256(abi.encode(line)));
    }

    /// @dev Hashed twice, so that no inner node of a tree can pass for a leaf.
    function _leaf(bytes32 fields) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(fields));
    }
}
