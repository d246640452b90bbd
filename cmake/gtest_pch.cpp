// SPDX-License-Identifier: Apache-2.0
// The one source whose precompiled header all tests share; main() comes from gtest_main.
