// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ICostPools, Line} from "./interfaces/ICostPools.sol";
import {IDepartments} from "./interfaces/IDepartments.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {BUREAU, FINANCE, OVERSIGHT} from "./types/Codes.sol";
import {SEAT_REMOVED, SEAT_ROTATED} from "./types/OfficerWord.sol";

/// @title Who may act in a cost pool, as the ledger answers
abstract contract PoolOffices is ICostPools {
    /// @notice Who holds which role.
    IDepartments public immutable departments;

    constructor(IDepartments departments_) {
        departments = departments_;
    }

    function _requireNotPaused() internal view {
        uint40 until = departments.pausedUntil();
        if (block.timestamp <= until) revert PausedUntil(until);
    }

    function _requireRole(address signer, uint16 role, uint24 department) internal view {
        uint24 has = departments.requireOfficer(signer, role);
        if (has != department) revert WrongDepartment(signer, has, department);
    }

    /// @dev Two people: an ADMIN alone can seat FINANCE, and OVERSIGHT only with the council.
    function _requireTwo(bytes32 digest, bytes calldata finance, bytes calldata oversight, uint24 department)
        internal
        view
    {
        address one = SignatureCheck.recover(digest, finance);
        address other = SignatureCheck.recover(digest, oversight);
        _requireRole(one, FINANCE, department);
        _requireRole(other, OVERSIGHT, department);
        if (one == other) revert SignerRepeated(one);
    }

    /// @dev To withdraw narrows: neither a pause nor a suspension keeps a department's money in a pool.
    function _requireOwnFinance(address signer, uint24 department) internal view {
        (uint24 has, uint16 roles) = _seat(signer);
        if (roles & FINANCE == 0) revert RoleMissing(signer, roles, FINANCE);
        if (has != department) revert WrongDepartment(signer, has, department);
    }

    /// @dev Of any department, also of one without an account: it may pay in tomorrow.
    function _requireSpeaker(address signer) internal view returns (uint24 department) {
        uint16 roles;
        (department, roles) = _seat(signer);
        if (roles & (FINANCE | OVERSIGHT) == 0) revert RoleMissing(signer, roles, FINANCE | OVERSIGHT);
    }

    /// @dev A finance or oversight officer of the line's debtor or creditor.
    function _requireParty(address signer, Line calldata line) internal view returns (uint24 department) {
        department = _requireSpeaker(signer);
        if (department != line.debtor && department != line.creditor) {
            revert NotAParty(department, line.debtor, line.creditor);
        }
    }

    /// @dev An officer who might have raised the dispute, or a bureau officer of a department without a stake in it.
    function _requireCloser(address signer, uint24 raiser, uint24 operator, Line calldata line)
        internal
        view
        returns (uint24 department, bool dismissed)
    {
        uint16 roles;
        (department, roles) = _seat(signer);
        if (department == raiser && roles & (FINANCE | OVERSIGHT) != 0) return (department, false);
        departments.requireOfficer(signer, BUREAU);
        if (department == operator || department == line.debtor || department == line.creditor) {
            revert NotArbiter(department);
        }
        return (department, true);
    }

    /// @dev In office. Not: of an active department. To object narrows, as to revoke does, and no suspension may
    /// silence a debtor until its window has passed.
    function _seat(address signer) internal view returns (uint24 department, uint16 roles) {
        uint40 notBefore;
        uint40 notAfter;
        uint8 flags;
        (department, roles, notBefore, notAfter, flags,) = departments.officer(signer);
        bool gone = flags & (SEAT_REMOVED | SEAT_ROTATED) != 0;
        if (gone || block.timestamp < notBefore || block.timestamp > notAfter) revert NotInOffice(signer);
    }
}
