// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAuditAnchor} from "./interfaces/IAuditAnchor.sol";
import {IDepartments} from "./interfaces/IDepartments.sol";
import {Rfc6962} from "./lib/Rfc6962.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {HeadWord, packHead, LOG_CLOSED, LOG_OPEN, LOG_UNKNOWN} from "./types/HeadWord.sol";

/// @title Anchored heads of audit logs
/// @notice See IAuditAnchor for what it promises.
contract AuditAnchor is IAuditAnchor, SaltedDomain {
    bytes32 private constant TREE_HEAD_TYPEHASH =
        keccak256("TreeHead(bytes32 origin,uint64 size,bytes32 root,uint40 deadline)");
    bytes32 private constant OPEN_LOG_TYPEHASH =
        keccak256("OpenLog(bytes32 origin,uint24 operator,uint8 quorum,uint40 deadline)");
    bytes32 private constant NEW_EPOCH_TYPEHASH = keccak256(
        "NewEpoch(bytes32 origin,uint64 lastSize,bytes32 lastRoot,bytes32 newOrigin,"
        "uint24 operator,uint8 quorum,string reason,uint40 deadline)"
    );

    /// @notice Who holds which key, and who sits in the council.
    IDepartments public immutable departments;

    mapping(bytes32 origin => HeadWord) private _words;
    mapping(bytes32 origin => bytes32) private _roots;
    mapping(bytes32 origin => bytes32) private _successors;

    constructor(IDepartments departments_, bytes32 salt) SaltedDomain("Civic Ledger AuditAnchor", "1", salt) {
        departments = departments_;
    }

    // ------------------------------------------------------------------ acts

    /// @inheritdoc IAuditAnchor
    function openLog(OpenLog calldata opening, bytes[] calldata councilSignatures) external {
        _requireInTime(opening.deadline);
        departments.checkCouncil(
            _digest(
                keccak256(
                    abi.encode(
                        OPEN_LOG_TYPEHASH, opening.origin, opening.operator, opening.quorum, opening.deadline
                    )
                )
            ),
            councilSignatures
        );
        _begin(opening.origin, 0, Rfc6962.EMPTY_ROOT, 0, opening.operator, opening.quorum);
        emit LogOpened(opening.origin, opening.operator, opening.quorum, uint40(block.timestamp));
    }

    /// @inheritdoc IAuditAnchor
    function anchor(TreeHead calldata head, bytes32[] calldata proof, bytes[] calldata signatures) external {
        _requireInTime(head.deadline);
        HeadWord word = _openWord(head.origin);
        _requireNext(head, word, _roots[head.origin], proof);

        bytes32 digest = treeHeadDigest(head);
        address key = _requireOperator(head.origin, word, digest, signatures);
        uint24[] memory witnesses = _requireWitnesses(head.origin, word, digest, signatures);

        _words[head.origin] = word.advanced(head.size, uint40(block.timestamp));
        _roots[head.origin] = head.root;
        emit Anchored(
            head.origin, head.size, head.root, word.epoch(), uint40(block.timestamp), key, witnesses
        );
    }

    /// @inheritdoc IAuditAnchor
    function newEpoch(NewEpoch calldata epoch, bytes[] calldata councilSignatures) external {
        _requireInTime(epoch.deadline);
        HeadWord word = _openWord(epoch.origin);
        departments.checkCouncil(_digest(_newEpochHash(epoch)), councilSignatures);

        bytes32 root = _roots[epoch.origin];
        if (epoch.lastSize > word.size()) revert EpochBeyondHead(epoch.origin, epoch.lastSize, word.size());
        if (epoch.lastSize == word.size() && epoch.lastRoot != root) {
            revert Forked(epoch.origin, epoch.lastSize, epoch.lastRoot, root);
        }
        if (epoch.lastSize == 0 && epoch.lastRoot != Rfc6962.EMPTY_ROOT) {
            revert Forked(epoch.origin, 0, epoch.lastRoot, Rfc6962.EMPTY_ROOT);
        }

        uint32 number = word.epoch() + 1;
        _begin(epoch.newOrigin, epoch.lastSize, epoch.lastRoot, number, epoch.operator, epoch.quorum);
        _words[epoch.origin] = word.closed();
        _successors[epoch.origin] = epoch.newOrigin;
        emit EpochOpened(
            epoch.origin,
            epoch.newOrigin,
            epoch.lastSize,
            epoch.lastRoot,
            word.size(),
            root,
            number,
            epoch.operator,
            epoch.quorum,
            uint40(block.timestamp),
            epoch.reason
        );
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IAuditAnchor
    function log(bytes32 origin) external view returns (Log memory) {
        if (_words[origin].state() == LOG_UNKNOWN) revert UnknownLog(origin);
        return _log(origin);
    }

    /// @inheritdoc IAuditAnchor
    function logs(bytes32[] calldata origins) external view returns (Log[] memory found) {
        found = new Log[](origins.length);
        for (uint256 i = 0; i < origins.length; ++i) {
            found[i] = _log(origins[i]);
        }
    }

    /// @inheritdoc IAuditAnchor
    function current(bytes32 origin) external view returns (bytes32 openOrigin, Log memory) {
        openOrigin = origin;
        while (_words[openOrigin].state() == LOG_CLOSED) {
            openOrigin = _successors[openOrigin];
        }
        if (_words[openOrigin].state() == LOG_UNKNOWN) revert UnknownLog(origin);
        return (openOrigin, _log(openOrigin));
    }

    /// @inheritdoc IAuditAnchor
    function isConsistent(bytes32 origin, uint64 size, bytes32 root, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        HeadWord word = _words[origin];
        if (word.state() == LOG_UNKNOWN) revert UnknownLog(origin);
        if (size <= word.size()) return Rfc6962.isConsistent(size, root, word.size(), _roots[origin], proof);
        return Rfc6962.isConsistent(word.size(), _roots[origin], size, root, proof);
    }

    /// @inheritdoc IAuditAnchor
    function treeHeadDigest(TreeHead calldata head) public view returns (bytes32) {
        return
            _digest(keccak256(abi.encode(TREE_HEAD_TYPEHASH, head.origin, head.size, head.root, head.deadline)));
    }

    // ------------------------------------------------------------------ rules

    /// @dev The head goes forward, and the proof shows that nothing before it changed.
    function _requireNext(TreeHead calldata head, HeadWord word, bytes32 root, bytes32[] calldata proof)
        private
        view
    {
        uint64 size = word.size();
        if (head.size < size) revert RolledBack(head.origin, head.size, size);
        if (head.size == size) {
            if (head.root != root) revert Forked(head.origin, size, head.root, root);
            revert AlreadyAnchored(head.origin, size);
        }
        if (!Rfc6962.isConsistent(size, root, head.size, head.root, proof)) {
            revert Inconsistent(head.origin, size, head.size);
        }
    }

    function _requireOperator(bytes32 origin, HeadWord word, bytes32 digest, bytes[] calldata signatures)
        private
        view
        returns (address key)
    {
        if (signatures.length == 0) revert SignatureMissing();
        key = SignatureCheck.recover(digest, signatures[0]);
        (uint24 department, bool active) = departments.attestKey(key);
        if (!active || department != word.operator()) {
            revert NotOperator(origin, key, department, word.operator());
        }
    }

    /// @dev Witnesses beyond the quorum are welcome, but each must be right: none is skipped over.
    function _requireWitnesses(bytes32 origin, HeadWord word, bytes32 digest, bytes[] calldata signatures)
        private
        view
        returns (uint24[] memory witnesses)
    {
        uint256 count = signatures.length - 1;
        if (count < word.quorum()) revert TooFewWitnesses(origin, count, word.quorum());
        witnesses = new uint24[](count);
        uint24 previous = 0;
        for (uint256 i = 0; i < count; ++i) {
            address key = SignatureCheck.recover(digest, signatures[i + 1]);
            (uint24 department, bool active) = departments.attestKey(key);
            if (!active) revert NotWitness(key, department);
            if (department == word.operator()) revert WitnessIsOperator(department);
            if (department <= previous) revert WitnessOrder(department, previous);
            witnesses[i] = department;
            previous = department;
        }
    }

    // ------------------------------------------------------------------ inside

    function _openWord(bytes32 origin) private view returns (HeadWord word) {
        word = _words[origin];
        if (word.state() == LOG_UNKNOWN) revert UnknownLog(origin);
        if (word.state() == LOG_CLOSED) revert LogClosed(origin, _successors[origin]);
    }

    function _begin(bytes32 origin, uint64 size, bytes32 root, uint32 epoch, uint24 operator, uint8 quorum)
        private
    {
        if (origin == 0) revert OriginMissing();
        if (operator == 0) revert OperatorMissing();
        if (_words[origin].state() != LOG_UNKNOWN) revert LogExists(origin);
        _words[origin] = packHead(size, uint40(block.timestamp), epoch, operator, quorum);
        _roots[origin] = root;
    }

    function _log(bytes32 origin) private view returns (Log memory) {
        HeadWord word = _words[origin];
        return Log({
            size: word.size(),
            root: _roots[origin],
            time: word.time(),
            epoch: word.epoch(),
            operator: word.operator(),
            quorum: word.quorum(),
            open: word.state() == LOG_OPEN,
            successor: _successors[origin]
        });
    }

    function _newEpochHash(NewEpoch calldata epoch) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                NEW_EPOCH_TYPEHASH,
                epoch.origin,
                epoch.lastSize,
                epoch.lastRoot,
                epoch.newOrigin,
                epoch.operator,
                epoch.quorum,
                keccak256(bytes(epoch.reason)),
                epoch.deadline
            )
        );
    }
}
