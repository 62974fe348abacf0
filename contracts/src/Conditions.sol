// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {
    BindCondition,
    CloseCondition,
    ConditionView,
    IConditions,
    OpenCondition,
    SignedRevoke
} from "./interfaces/IConditions.sol";
import {IDepartmentRecord, IDepartments} from "./interfaces/IDepartments.sol";
import {IGrants, Revoke} from "./interfaces/IGrants.sol";
import {IWords, LedgerWords} from "./lib/LedgerWords.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {BindingWord, CONDITIONS_MAX} from "./types/BindingWord.sol";
import {ATTEST, CDO, DEPARTMENT_ACTIVE, GRANT_ACTIVE, STEWARD} from "./types/Codes.sol";
import {
    CONDITION_ENDED,
    CONDITION_OPEN,
    CONDITION_UNKNOWN,
    ConditionWord,
    KIND_AGREEMENT,
    packCondition
} from "./types/ConditionWord.sol";
import {GrantWord} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title Conditions that grants depend on
/// @notice See IConditions for what it promises.
contract Conditions is IConditions, SaltedDomain {
    using LedgerWords for IWords;

    bytes32 private constant OPEN =
        keccak256("OpenCondition(uint64 condition,uint8 kind,bytes32 commitment,uint40 deadline)");
    bytes32 private constant BIND = keccak256("BindCondition(bytes32 grant,uint64 condition,uint40 deadline)");
    bytes32 private constant CLOSE = keccak256("CloseCondition(uint64 condition,uint8 reason,uint40 deadline)");

    /// @notice The sharing ledger: who holds which key, and who may grant what.
    IWords public immutable ledger;

    mapping(bytes32 grant => BindingWord) private _bindings;
    mapping(uint64 condition => ConditionWord) private _conditions;

    constructor(IDepartments ledger_)
        SaltedDomain("Civic Ledger Conditions", "1", ledger_.salt(), address(this))
    {
        ledger = IWords(address(ledger_));
    }

    // ---- acts ----------------------------------------------------------------------------------------------------

    /// @inheritdoc IConditions
    function openCondition(OpenCondition calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        uint64 id = m.condition;
        if (uint40(id) == 0) revert ConditionIdInvalid(id);
        if (m.kind == 0 || m.kind > KIND_AGREEMENT) revert KindInvalid(m.kind);
        if (m.commitment == 0) revert CommitmentMissing();
        if (_conditions[id].state() != CONDITION_UNKNOWN) revert ConditionExists(id);
        uint24 keeper = uint24(id >> 40);
        address signer =
            _signedByEither(_digest(StructHash.flat(OPEN, at, 4)), signature, keeper, STEWARD | ATTEST);
        // Only here: what narrows is not stopped by a suspension.
        uint8 standing = ledger.standing(keeper);
        if (standing != DEPARTMENT_ACTIVE) revert IDepartmentRecord.DepartmentNotActive(keeper, standing);
        _conditions[id] = packCondition(m.kind, uint40(block.timestamp));
        emit ConditionOpened(id, m.kind, m.commitment, signer);
    }

    /// @inheritdoc IConditions
    function bindCondition(BindCondition calldata m, bytes calldata signature) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        bytes32 grant = m.grant;
        uint64 id = m.condition;
        _requireOpen(id);
        BindingWord binding = _bindings[grant];
        uint256 place = binding.count();
        for (uint256 i = 0; i < place; ++i) {
            if (binding.conditionAt(i) == id) revert AlreadyBound(grant, id);
        }
        if (place == CONDITIONS_MAX) revert TooManyConditions(grant, CONDITIONS_MAX);
        address signer =
            _signedByEither(_digest(StructHash.flat(BIND, at, 3)), signature, _grantorOf(grant), STEWARD | CDO);
        _bindings[grant] = binding.bound(place, id);
        emit ConditionBound(grant, id, uint8(place), signer);
    }

    /// @inheritdoc IConditions
    function closeCondition(CloseCondition calldata m, bytes calldata signature) external {
        _close(m, signature);
    }

    /// @inheritdoc IConditions
    function closeAndRevoke(CloseCondition calldata m, SignedRevoke calldata revoke, bytes calldata signature)
        external
    {
        _close(m, signature);
        try IGrants(address(ledger)).revoke(
            Revoke(revoke.grant, revoke.reason, revoke.deadline), abi.encodePacked(revoke.r, revoke.s, revoke.v)
        ) {} catch (bytes memory answer) {
            emit RevokePassedOver(revoke.grant, m.condition, bytes4(answer));
        }
    }

    // ---- views ---------------------------------------------------------------------------------------------------

    /// @inheritdoc IConditions
    function condition(uint64 id) external view returns (ConditionView memory) {
        ConditionWord word = _conditions[id];
        return ConditionView({
            keeper: uint24(id >> 40),
            kind: word.kind(),
            state: word.state(),
            reason: word.reason(),
            openedAt: word.openedAt(),
            endedAt: word.endedAt()
        });
    }

    /// @inheritdoc IConditions
    function conditionsOf(bytes32 grant) external view returns (uint64[] memory conditions, bool[] memory ended) {
        BindingWord binding = _bindings[grant];
        uint256 count = binding.count();
        conditions = new uint64[](count);
        ended = new bool[](count);
        for (uint256 i = 0; i < count; ++i) {
            conditions[i] = binding.conditionAt(i);
            ended[i] = _conditions[conditions[i]].state() == CONDITION_ENDED;
        }
    }

    /// @inheritdoc IConditions
    function stopped(bytes32 grant) public view returns (bool) {
        BindingWord binding = _bindings[grant];
        uint256 count = binding.count();
        for (uint256 i = 0; i < count; ++i) {
            if (_conditions[binding.conditionAt(i)].state() == CONDITION_ENDED) return true;
        }
        return false;
    }

    /// @inheritdoc IConditions
    function stoppedOf(bytes32[] calldata grants) external view returns (bool[] memory found) {
        found = new bool[](grants.length);
        for (uint256 i = 0; i < grants.length; ++i) {
            found[i] = stopped(grants[i]);
        }
    }

    // ---- rules ---------------------------------------------------------------------------------------------------

    function _close(CloseCondition calldata m, bytes calldata signature) private {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        uint64 id = m.condition;
        ConditionWord word = _requireOpen(id);
        address signer =
            _signedByEither(_digest(StructHash.flat(CLOSE, at, 3)), signature, uint24(id >> 40), STEWARD | ATTEST);
        _conditions[id] = word.ended(m.reason, uint40(block.timestamp));
        emit ConditionEnded(id, m.reason, signer);
    }

    function _requireOpen(uint64 id) private view returns (ConditionWord word) {
        word = _conditions[id];
        if (word.state() != CONDITION_OPEN) revert ConditionNotOpen(id, word.state());
    }

    /// @return The department that holds the right under which the grant was given, now.
    function _grantorOf(bytes32 grant) private view returns (uint24) {
        GrantWord g = ledger.grant(grant);
        if (g.state() != GRANT_ACTIVE) revert GrantNotBindable(grant, g.state());
        return ledger.asset(g.asset()).holderOf(g.right());
    }

    /// @dev As the ledger's own rule: a seat in its term, in this department, with one of these roles.
    function _signedByEither(bytes32 digest, bytes calldata signature, uint24 department, uint16 either)
        private
        view
        returns (address signer)
    {
        signer = SignatureCheck.recover(digest, signature);
        OfficerWord seat = ledger.seat(signer);
        if (!seat.inOffice(block.timestamp)) revert IDepartmentRecord.NotInOffice(signer);
        if (seat.roles() & either == 0) revert IDepartmentRecord.RoleMissing(signer, seat.roles(), either);
        if (seat.department() != department) {
            revert IDepartmentRecord.WrongDepartment(signer, seat.department(), department);
        }
    }
}
