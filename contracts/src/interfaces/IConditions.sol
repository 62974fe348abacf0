// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice Opens a condition: something outside the chain on which grants can be made to depend, such as a person's
/// consent, a case or a court's order. `condition` is keeper << 40 | sequence: the keeper is the department that will
/// say when it ends. `commitment` is a hash, with a random salt, of what identifies it outside; nothing else of it is
/// on chain. `kind`: 1 consent, 2 case, 3 order, 4 agreement.
struct OpenCondition {
    uint64 condition;
    uint8 kind;
    bytes32 commitment;
    uint40 deadline;
}

/// @notice Binds a grant to an open condition, for ever: when the condition ends, the grant stops.
struct BindCondition {
    bytes32 grant;
    uint64 condition;
    uint40 deadline;
}

/// @notice Ends a condition, for ever. `reason`: 1 withdrawn, 2 closed, 3 lapsed, 4 opened by mistake.
struct CloseCondition {
    uint64 condition;
    uint8 reason;
    uint40 deadline;
}

/// @notice A Revoke of the ledger (IGrants) with the signature that was given for it, in whatever time before.
struct SignedRevoke {
    bytes32 grant;
    uint8 reason;
    uint40 deadline;
    bytes32 r;
    bytes32 s;
    uint8 v;
}

/// @notice All that the chain knows of a condition. `state`: 0 unknown, 1 open, 2 ended.
struct ConditionView {
    uint24 keeper;
    uint8 kind;
    uint8 state;
    uint8 reason;
    uint40 openedAt;
    uint40 endedAt;
}

/// @title Conditions that grants depend on
/// @notice Stands beside the sharing ledger and reads it. It can stop access and never give it: no act here makes a
/// grant, lengthens one or takes a condition away again. Whoever asks whether a grant is live asks both contracts; the
/// ledger itself does not know of conditions. No pause and no suspension stops a binding or an end.
interface IConditions {
    /// @notice `officer` is the steward or the machine that signed.
    event ConditionOpened(uint64 indexed condition, uint8 kind, bytes32 commitment, address officer);
    /// @notice `place` is the grant's how manieth, from 0.
    event ConditionBound(bytes32 indexed grant, uint64 indexed condition, uint8 place, address officer);
    /// @notice Every grant that is bound to it stops now, and for ever.
    event ConditionEnded(uint64 indexed condition, uint8 reason, address officer);
    /// @notice The condition ended, but the ledger did not take the Revoke that came along; `why` is what it answered,
    /// its first four bytes.
    event RevokePassedOver(bytes32 indexed grant, uint64 indexed condition, bytes4 why);

    /// @notice The number after the keeper's is zero.
    error ConditionIdInvalid(uint64 condition);
    error ConditionExists(uint64 condition);
    /// @notice `state` 0 unknown, 2 ended.
    error ConditionNotOpen(uint64 condition, uint8 state);
    error KindInvalid(uint8 kind);
    error CommitmentMissing();
    error AlreadyBound(bytes32 grant, uint64 condition);
    /// @notice A grant is bound to `most` conditions at most.
    error TooManyConditions(bytes32 grant, uint256 most);
    /// @notice The ledger has no such grant, or it was revoked or cancelled.
    error GrantNotBindable(bytes32 grant, uint8 state);

    /// @notice Open a condition: signed by a STEWARD or an ATTEST key of the keeper, which is active.
    function openCondition(OpenCondition calldata m, bytes calldata signature) external;

    /// @notice Bind a grant: signed by a STEWARD or CDO of the department that holds the grant's right.
    function bindCondition(BindCondition calldata m, bytes calldata signature) external;

    /// @notice End a condition: signed by a STEWARD or an ATTEST key of the keeper.
    function closeCondition(CloseCondition calldata m, bytes calldata signature) external;

    /// @notice The same, and `revoke` is handed on to the ledger, which judges it by itself: the condition ends
    /// whether the ledger takes it or not.
    function closeAndRevoke(CloseCondition calldata m, SignedRevoke calldata revoke, bytes calldata signature)
        external;

    /// @notice A condition; all zero but the keeper when it was never opened.
    function condition(uint64 id) external view returns (ConditionView memory);

    /// @notice What a grant is bound to, and which of it has ended.
    function conditionsOf(bytes32 grant) external view returns (uint64[] memory conditions, bool[] memory ended);

    /// @notice Whether a condition of this grant has ended. A delegated grant depends on those above it as well:
    /// `stoppedOf` answers for all of them.
    function stopped(bytes32 grant) external view returns (bool);

    /// @notice `stopped` for each, in one call.
    function stoppedOf(bytes32[] calldata grants) external view returns (bool[] memory);
}
