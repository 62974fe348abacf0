// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ICouncil} from "./interfaces/ICouncil.sol";
import {IDepartmentRecord} from "./interfaces/IDepartments.sol";
import {LedgerState} from "./LedgerState.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {BUREAU, DEPARTMENT_ACTIVE} from "./types/Codes.sol";
import {DeptWord} from "./types/DeptWord.sol";
import {GuardWord} from "./types/GuardWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title Who may act: the checks that every act goes through
abstract contract Departments is LedgerState, SaltedDomain, IDepartmentRecord {
    // ---- Checks ----------------------------------------------------------------------------------------------

    /// @dev What widens stops here while paused; what narrows or records does not ask.
    function _requireRunning() internal view {
        uint40 until = _guard.pausedUntil();
        if (block.timestamp <= until) revert ICouncil.PausedUntil(until);
    }

    /// @dev As `_requireRunning`, for what begins an asset, a grant or more of one: it begins in the successor from the
    /// freeze on. Who sits where stays here, and so do lifting and correcting.
    function _requireOpen() internal view {
        GuardWord guard = _guard;
        unchecked {
            // 0 is none, and less one beyond all time.
            if (uint256(guard.freezeAt()) - 1 < block.timestamp) revert ICouncil.FrozenSince(guard.freezeAt());
        }
        uint40 until = guard.pausedUntil();
        if (block.timestamp <= until) revert ICouncil.PausedUntil(until);
    }

    function _requireCount(uint256 got, uint256 need) internal pure {
        if (got != need) revert SignatureCount(got, need);
    }

    /// @dev Messages are hashed as they lie. A member that no rule asks for is read here, which refuses dirty high bits.
    function _requireClean(uint64) internal pure {}

    /// @dev For messages that have no slot of their own to mark, and a salt instead.
    function _once(bytes32 structHash, uint64 salt_) internal {
        _requireClean(salt_);
        _once(structHash);
    }

    /// @dev For messages that have no slot of their own to mark.
    function _once(bytes32 structHash) internal {
        if (_done[structHash]) revert AlreadyDone(structHash);
        _done[structHash] = true;
    }

    /// @return seat Of the signer: in office, with every role of `needs`.
    function _requireSeat(address signer, uint16 needs) internal view returns (OfficerWord seat) {
        seat = _seats[signer];
        if (!seat.inOffice(block.timestamp)) revert NotInOffice(signer);
        if (seat.roles() & needs != needs) revert RoleMissing(signer, seat.roles(), needs);
    }

    /// @dev As `_requireSeat`, in this department.
    function _requireSeatIn(address signer, uint24 department, uint16 needs) internal view {
        OfficerWord seat = _seats[signer];
        if (!seat.serves(block.timestamp, department, needs)) _refuse(signer, seat, department, needs);
    }

    /// @dev Says why a seat does not serve.
    function _refuse(address signer, OfficerWord seat, uint24 department, uint16 needs) private view {
        if (!seat.inOffice(block.timestamp)) revert NotInOffice(signer);
        if (seat.roles() & needs != needs) revert RoleMissing(signer, seat.roles(), needs);
        revert WrongDepartment(signer, seat.department(), department);
    }

    /// @return signer In office, in this department, with one role of `either` at least.
    function _signedByEither(bytes32 digest, bytes calldata signature, uint24 department, uint16 either)
        internal
        view
        returns (address signer)
    {
        signer = SignatureCheck.recover(digest, signature);
        OfficerWord seat = _seats[signer];
        if (!seat.inOffice(block.timestamp)) revert NotInOffice(signer);
        if (seat.roles() & either == 0) revert RoleMissing(signer, seat.roles(), either);
        if (seat.department() != department) revert WrongDepartment(signer, seat.department(), department);
    }

    /// @return signer Of a BUREAU of an active department.
    /// @return department That department.
    function _signedByBureau(bytes32 digest, bytes[] calldata signatures, uint256 index)
        internal
        view
        returns (address signer, uint24 department)
    {
        signer = SignatureCheck.recoverAt(digest, signatures, index);
        department = _requireSeat(signer, BUREAU).department();
        _requireActive(department);
    }

    /// @return signer In office, in this department or the data bureau.
    /// @return bureau Whether it signed as the bureau.
    function _signedByEitherOrBureau(bytes32 digest, bytes calldata signature, uint24 department, uint16 either)
        internal
        view
        returns (address signer, bool bureau)
    {
        signer = SignatureCheck.recover(digest, signature);
        OfficerWord seat = _requireSeat(signer, 0);
        if (seat.department() == department && seat.roles() & either != 0) return (signer, false);
        if (seat.roles() & BUREAU == 0) revert RoleMissing(signer, seat.roles(), either | BUREAU);
        _requireActive(seat.department());
        return (signer, true);
    }

    function _standing(uint24 department) internal view returns (uint8) {
        return _standings[department >> 6].standing(department);
    }

    function _requireActive(uint24 department) internal view {
        uint8 standing = _standing(department);
        if (standing != DEPARTMENT_ACTIVE) revert DepartmentNotActive(department, standing);
    }

    /// @dev Two departments, in one read where one word holds both. 0 in the place of the other is nobody.
    function _requireBothActive(uint24 one, uint24 other) internal view {
        DeptWord word = _standings[one >> 6];
        if (word.standing(one) != DEPARTMENT_ACTIVE) revert DepartmentNotActive(one, word.standing(one));
        if (other == 0) return;
        if ((one ^ other) >> 6 != 0) word = _standings[other >> 6];
        if (word.standing(other) != DEPARTMENT_ACTIVE) revert DepartmentNotActive(other, word.standing(other));
    }

    function _isActive(OfficerWord seat) internal view returns (bool) {
        return seat.inOffice(block.timestamp) && _standing(seat.department()) == DEPARTMENT_ACTIVE;
    }

    /// @dev As `_checkMembers`, of the council that the message names: what a council signed dies with it.
    function _checkCouncil(bytes32 digest, uint32 epoch, bytes[] calldata signatures) internal view {
        uint32 now_ = _council.epoch();
        if (epoch != now_) revert ICouncil.EpochWrong(epoch, now_);
        _checkMembers(digest, signatures);
    }

    /// @dev A quorum of distinct members, in any order; every signature must count.
    function _checkMembers(bytes32 digest, bytes[] calldata signatures) internal view {
        uint256 need = _council.threshold();
        if (signatures.length < need || need == 0) revert ICouncil.CouncilQuorum(signatures.length, need);
        uint256 seen;
        for (uint256 i = 0; i < signatures.length; ++i) {
            address member = SignatureCheck.recoverAt(digest, signatures, i);
            uint256 place = _memberPlace[member];
            if (place == 0) revert ICouncil.NotCouncil(member);
            if (seen >> place & 1 == 1) revert SignerRepeated(member);
            seen |= 1 << place;
        }
    }
}
