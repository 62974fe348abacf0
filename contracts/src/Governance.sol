// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Admissions} from "./Admissions.sol";
import {Council} from "./Council.sol";
import {DepartmentViews} from "./DepartmentViews.sol";
import {LEDGER_NAME, LEDGER_VERSION, LedgerPart, continueIn} from "./LedgerPart.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {Recoveries} from "./Recoveries.sol";

/// @title The part of the ledger's code with departments, officers, keys and the council
contract Governance is LedgerPart, Admissions, Recoveries, Council, DepartmentViews {
    address private immutable _stewardship;

    /// @param stewardship The part that has what this one has not.
    constructor(bytes32 salt_, address stewardship) SaltedDomain(LEDGER_NAME, LEDGER_VERSION, salt_) {
        _stewardship = stewardship;
    }

    function _home() internal view override(LedgerPart, SaltedDomain) returns (address) {
        return super._home();
    }

    fallback() external {
        continueIn(_stewardship);
    }
}
