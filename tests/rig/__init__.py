# SPDX-License-Identifier: Apache-2.0
"""Network namespaces, real daemons, taps and packet makers for tests/system and tests/demo. See tests/README.md."""
