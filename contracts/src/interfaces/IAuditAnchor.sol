// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Anchored heads of audit logs
/// @notice Keeps, for every log, the size and root of its latest tree head. A head is accepted only when it is
///         signed by an attest key of the department that operates the log, signed by as many witnesses as the
///         council asked for, and proved on chain to extend the head before it. So whoever holds the operator's
///         key can append, and can neither take back nor rewrite.
/// @dev A log is named by its origin: SHA-256 of the origin line of its C2SP checkpoints. Roots are RFC 6962.
interface IAuditAnchor {
    /// @notice A tree head as its log signs it. Witnesses sign the same.
    struct TreeHead {
        bytes32 origin;
        uint64 size;
        bytes32 root;
        uint40 deadline;
    }

    /// @notice Opens a log at size 0.
    struct OpenLog {
        bytes32 origin;
        uint24 operator;
        uint8 quorum;
        uint40 deadline;
    }

    /// @notice Closes a log and continues it under a new origin, after a lossy restore or a stolen key.
    /// @dev `lastSize` and `lastRoot` are the head up to which the council vouches for the old log: the new one
    ///      starts there. Entries beyond it may be lost, so the chain cannot ask for a proof: it asks the council,
    ///      and refuses a size above the anchored one, or another root at the anchored size.
    struct NewEpoch {
        bytes32 origin;
        uint64 lastSize;
        bytes32 lastRoot;
        bytes32 newOrigin;
        uint24 operator;
        uint8 quorum;
        string reason;
        uint40 deadline;
    }

    /// @notice All that the chain knows of a log.
    /// @param successor the origin that continues it, or zero while it is open
    struct Log {
        uint64 size;
        bytes32 root;
        uint40 time;
        uint32 epoch;
        uint24 operator;
        uint8 quorum;
        bool open;
        bytes32 successor;
    }

    /// @notice A log was opened, empty.
    event LogOpened(bytes32 indexed origin, uint24 indexed operator, uint8 quorum, uint40 time);

    /// @notice A head was anchored; these events are the history of the log.
    /// @param key the attest key of the operator that signed
    /// @param witnesses the departments that witnessed, ascending
    event Anchored(
        bytes32 indexed origin,
        uint64 indexed size,
        bytes32 root,
        uint32 epoch,
        uint40 time,
        address key,
        uint24[] witnesses
    );

    /// @notice The council closed `origin` at a head it vouches for, and `newOrigin` continues from there.
    /// @param abandonedSize the anchored size that was given up; above `lastSize` entries were disowned
    event EpochOpened(
        bytes32 indexed origin,
        bytes32 indexed newOrigin,
        uint64 lastSize,
        bytes32 lastRoot,
        uint64 abandonedSize,
        bytes32 abandonedRoot,
        uint32 epoch,
        uint24 operator,
        uint8 quorum,
        uint40 time,
        string reason
    );

    error UnknownLog(bytes32 origin);
    error LogExists(bytes32 origin);
    error LogClosed(bytes32 origin, bytes32 successor);
    error OriginMissing();
    error OperatorMissing();
    /// @notice The log stands at this very head already.
    error AlreadyAnchored(bytes32 origin, uint64 size);
    /// @notice Another root at the anchored size: somebody signed two histories.
    error Forked(bytes32 origin, uint64 size, bytes32 root, bytes32 anchoredRoot);
    /// @notice A head smaller than the anchored one.
    error RolledBack(bytes32 origin, uint64 size, uint64 anchoredSize);
    /// @notice The proof does not show that the new head extends the anchored one.
    error Inconsistent(bytes32 origin, uint64 anchoredSize, uint64 size);
    error NotOperator(bytes32 origin, address key, uint24 department, uint24 operator);
    error NotWitness(address key, uint24 department);
    /// @notice Witness signatures come in ascending order of department, so that each counts once.
    error WitnessOrder(uint24 department, uint24 previous);
    error WitnessIsOperator(uint24 department);
    error TooFewWitnesses(bytes32 origin, uint256 given, uint8 quorum);
    /// @notice The council named a head that contradicts what is anchored.
    error EpochBeyondHead(bytes32 origin, uint64 lastSize, uint64 anchoredSize);

    /// @notice Open a log. Anyone may submit; the council must have signed.
    function openLog(OpenLog calldata opening, bytes[] calldata councilSignatures) external;

    /// @notice Anchor the next head of a log. Anyone may submit; never blocked by a pause.
    /// @param proof RFC 6962 consistency proof from the anchored size to `head.size`; empty for a first head
    /// @param signatures the operator's first, then those of witnesses by ascending department
    function anchor(TreeHead calldata head, bytes32[] calldata proof, bytes[] calldata signatures) external;

    /// @notice Close a log and continue it under a new origin. Never blocked by a pause.
    function newEpoch(NewEpoch calldata epoch, bytes[] calldata councilSignatures) external;

    /// @notice The state of a log; reverts with `UnknownLog` when it was never opened.
    function log(bytes32 origin) external view returns (Log memory);

    /// @notice The state of several logs in one call; one never opened has epoch, operator and time 0.
    function logs(bytes32[] calldata origins) external view returns (Log[] memory);

    /// @notice Follows successors to the log that is open now: its origin and its state.
    function current(bytes32 origin) external view returns (bytes32 openOrigin, Log memory);

    /// @notice Whether a checkpoint somebody holds belongs to the history that is anchored: a smaller one must be
    ///         extended by the anchored head, a larger one must extend it.
    /// @param proof RFC 6962 consistency proof between the two sizes; empty when they are equal
    function isConsistent(bytes32 origin, uint64 size, bytes32 root, bytes32[] calldata proof)
        external
        view
        returns (bool);

    /// @notice The EIP-712 digest that operator and witnesses sign.
    function treeHeadDigest(TreeHead calldata head) external view returns (bytes32);
}
