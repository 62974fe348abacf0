// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title A split by largest remainder sums to its cost, for three members
/// @notice The arithmetic of lib/LargestRemainder.sol, unrolled. What has to be shown is that the units left over
/// after rounding down are fewer than the members with a remainder, so that each of them goes to somebody, to each
/// at most once, and never to weight 0.
contract SplitExact {
    function three(uint128 cost, uint64 a, uint64 b, uint64 c) external pure {
        uint256 total = uint256(a) + b + c;
        require(total != 0);
        uint256 left = cost - uint256(cost) * a / total - uint256(cost) * b / total - uint256(cost) * c / total;
        uint256 takers = (uint256(cost) * a % total == 0 ? 0 : 1) + (uint256(cost) * b % total == 0 ? 0 : 1)
            + (uint256(cost) * c % total == 0 ? 0 : 1);
        assert(left < takers || (left == 0 && takers == 0));
        assert(a != 0 || uint256(cost) * a % total == 0);
    }
}
