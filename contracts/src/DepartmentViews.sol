// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Departments} from "./Departments.sol";
import {DeptWord} from "./types/DeptWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title What other contracts and clients ask about seats (IDepartments; `attestKey` is in Usage's half)
abstract contract DepartmentViews is Departments {
    /// @dev IDepartments
    function officer(address who)
        external
        view
        returns (uint24 department, uint16 roles, uint40 notBefore, uint40 notAfter, uint8 flags, bool active)
    {
        OfficerWord seat = _seats[who];
        return (
            seat.department(), seat.roles(), seat.notBefore(), seat.notAfter(), seat.flags(), _isActive(seat)
        );
    }

    /// @dev IDepartments
    function requireOfficer(address who, uint16 needs) external view returns (uint24 department) {
        department = _requireSeat(who, needs).department();
        _requireActive(department);
    }

    /// @dev IDepartments
    function standings(uint256 group) external view returns (uint256) {
        return DeptWord.unwrap(_standings[group]);
    }

    /// @dev IDepartments
    function checkCouncil(bytes32 digest, uint32 epoch, bytes[] calldata signatures) external view {
        _checkCouncil(digest, epoch, signatures);
    }

    /// @dev IDepartments
    function pausedUntil() external view returns (uint40) {
        return _guard.pausedUntil();
    }
}
