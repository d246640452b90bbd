// SPDX-License-Identifier: Apache-2.0
// The one source whose precompiled header all rooms of mgmt share.
