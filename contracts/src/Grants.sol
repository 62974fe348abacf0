// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GrantRules} from "./GrantRules.sol";
import {IAssets} from "./interfaces/IAssets.sol";
import {GrantBatch, IGrants, Revoke, RevokeBatch, Terms} from "./interfaces/IGrants.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {CDO, DEPARTMENT_ACTIVE, GRANT_ACTIVE, GRANT_REVOKED, STEWARD} from "./types/Codes.sol";
import {DeptWord} from "./types/DeptWord.sol";
import {GrantWord} from "./types/GrantWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title Grants of every day: create and revoke, single and batch (IGrants; the rest is in GrantActs,
/// Emergencies and LedgerViews)
abstract contract Grants is GrantRules {
    bytes32 private constant GRANT_BATCH = keccak256(
        "GrantBatch(Terms[] grants,uint40 deadline)Terms(uint64 asset,uint24 grantee,uint8 right,uint40 notBefore,uint40 expiry,uint32 maxUses,uint8 depth,uint40 deadline,bytes32 termsHash,bytes32 parent,uint64 salt)"
    );
    bytes32 private constant REVOKE_BATCH =
        keccak256("RevokeBatch(bytes32[] grants,uint8 reason,uint40 deadline)");

    // ---- Create ----------------------------------------------------------------------------------------------

    /// @dev IGrants
    function grant(Terms calldata t, bytes[] calldata signatures) external returns (bytes32 id) {
        id = _idOf(t);
        _requireOpen();
        if (t.parent != 0) revert IGrants.ParentWrong(t.parent);
        GrantWord g = _wordOf(t, GRANT_ACTIVE);
        (uint24 grantor, uint8 class) = _requireGrantable(g);
        address steward = _requireQuorum(id, signatures, grantor, class);
        _requireBothActive(grantor, g.grantee());
        _open(id, t, g, steward);
    }

    /// @dev IGrants
    function grantBatch(GrantBatch calldata m, bytes[] calldata signatures) external {
        _requireInTime(m.deadline);
        _requireOpen();
        Terms[] calldata grants = m.grants;
        if (grants.length == 0) revert IGrants.BatchEmpty();
        bytes32[] memory ids = new bytes32[](grants.length);
        (uint24 grantor, uint8 class) = _checkBatch(grants, ids);
        bytes32 structHash = keccak256(abi.encode(GRANT_BATCH, StructHash.list(ids), m.deadline));
        address steward = _requireQuorum(structHash, signatures, grantor, class);
        _requireActive(grantor);
        for (uint256 i = 0; i < grants.length; ++i) {
            Terms calldata t = _at(grants, i);
            _open(_idAt(ids, i), t, _wordOf(t, GRANT_ACTIVE), steward);
        }
    }

    // ---- End -------------------------------------------------------------------------------------------------

    /// @dev IGrants
    function revoke(Revoke calldata m, bytes calldata signature) external {
        GrantSlot storage slot = _grants[m.grant];
        GrantWord g = _requireRevocable(m.grant, slot);
        _revoke(m, slot, g, _assets[g.asset()].holderOf(g.right()), signature);
    }

    /// @dev IGrants
    function revokeBatch(RevokeBatch calldata m, bytes calldata signature) external {
        _requireInTime(m.deadline);
        bytes32[] calldata ids = m.grants;
        if (ids.length == 0) revert IGrants.BatchEmpty();
        uint256 at;
        assembly ("memory-safe") {
            at := ids.offset
        }
        bytes32 structHash =
            keccak256(abi.encode(REVOKE_BATCH, StructHash.words(at, ids.length), m.reason, m.deadline));
        address signer = SignatureCheck.recover(_digest(structHash), signature);
        OfficerWord seat = _requireSeat(signer, 0);
        if (seat.roles() & (STEWARD | CDO) == 0) revert RoleMissing(signer, seat.roles(), STEWARD | CDO);
        uint8 reason = m.reason;
        uint24 department = seat.department();
        uint256 last = type(uint256).max;
        uint24 holder;
        bool any = false;
        for (uint256 i = 0; i < ids.length; ++i) {
            bytes32 id = ids[i];
            GrantSlot storage slot = _grants[id];
            GrantWord g = slot.word;
            // A batch is mostly of one asset: its holder is read once.
            uint256 place = g.place();
            if (place != last) {
                holder = _assets[g.asset()].holderOf(g.right());
                last = place;
            }
            if (g.state() != GRANT_ACTIVE || holder != department) {
                emit IGrants.RevokeSkipped(id, g.state());
                continue;
            }
            any = true;
            slot.word = g.ended(GRANT_REVOKED, block.timestamp);
            emit IGrants.Revoked(id, reason, signer);
        }
        if (!any) revert IGrants.NothingDone();
    }

    // ---- Rules -----------------------------------------------------------------------------------------------

    /// @dev Fills in the ids. Asset and standings are read again only when they change from one to the next.
    /// @return grantor Who holds the right in every one of them.
    /// @return class The highest.
    function _checkBatch(Terms[] calldata grants, bytes32[] memory ids)
        private
        view
        returns (uint24 grantor, uint8 class)
    {
        uint256 place;
        uint256 group = type(uint256).max;
        DeptWord standings;
        for (uint256 i = 0; i < grants.length; ++i) {
            Terms calldata t = _at(grants, i);
            bytes32 id = _idOf(t);
            assembly ("memory-safe") {
                mstore(add(add(ids, 32), shl(5, i)), id)
            }
            if (t.parent != 0) revert IGrants.ParentWrong(t.parent);
            GrantWord g = _wordOf(t, GRANT_ACTIVE);
            uint24 grantee = g.grantee();
            if (grantee == 0 || g.place() != place) {
                place = g.place();
                (uint24 holder, uint8 grade) = _requireGrantable(g);
                if (grade > class) class = grade;
                if (i == 0) grantor = holder;
                if (holder != grantor) revert IAssets.NotRightHolder(g.asset(), g.right(), holder, grantor);
            }
            if (grantee != 0) {
                if (grantee >> 6 != group) {
                    group = grantee >> 6;
                    standings = _standings[group];
                }
                uint8 standing = standings.standing(grantee);
                if (standing != DEPARTMENT_ACTIVE) revert DepartmentNotActive(grantee, standing);
            }
        }
    }

    /// @dev `grants[i]`, i having been compared with the length by the loop.
    function _at(Terms[] calldata grants, uint256 i) private pure returns (Terms calldata t) {
        assembly ("memory-safe") {
            t := add(grants.offset, mul(i, 352))
        }
    }

    function _idAt(bytes32[] memory ids, uint256 i) private pure returns (bytes32 id) {
        assembly ("memory-safe") {
            id := mload(add(add(ids, 32), shl(5, i)))
        }
    }
}
