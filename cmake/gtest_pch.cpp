// SPDX-License-Identifier: Apache-2.0
// The one program whose precompiled header all tests share.
int main() {}
