// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Admissions} from "./Admissions.sol";
import {Council} from "./Council.sol";
import {DepartmentViews} from "./DepartmentViews.sol";
import {LedgerPart} from "./LedgerPart.sol";
import {Recoveries} from "./Recoveries.sol";

/// @title The part of the ledger's code with departments, officers, keys and the council
contract Governance is LedgerPart, Admissions, Recoveries, Council, DepartmentViews {
    constructor(bytes32 salt_, address ledger, address nextPart_) LedgerPart(salt_, ledger, nextPart_) {}
}
