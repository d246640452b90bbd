# SPDX-License-Identifier: Apache-2.0
"""What happened to a gateway's counters while something was done to it."""

import time


class Change:
    """with Change(gateway) as change: ...; change.expect({"bad_icv": 1}) waits until these counters rose by so much, and no other drop did."""

    def __init__(self, gateway):
        self.gateway = gateway

    def __enter__(self):
        self.before = self.gateway.counters()
        return self

    def __exit__(self, *_):
        pass

    def drops(self):
        return self.gateway.counters().drops_since(self.before)

    def expect(self, wanted, timeout=3.0, ignore=()):
        """`wanted`: name of a drop reason, or "PORT.VERDICT" of the kernel program, -> by how much it rose. Or a list of such, one of which."""
        choices = wanted if isinstance(wanted, list) else [wanted]
        end = time.monotonic() + timeout
        while True:
            found = {name: count for name, count in self.drops().items() if name not in ignore}
            if found in choices:
                return found
            if time.monotonic() > end or sum(found.values()) > max(sum(choice.values()) for choice in choices):
                raise AssertionError(f"dropped {found}, expected {wanted}")
            time.sleep(0.01)

    def opened(self, count, timeout=3.0):
        """Waits until so many packets were opened."""
        end = time.monotonic() + timeout
        while True:
            now = self.gateway.counters().opened - self.before.opened
            if now == count:
                return
            if time.monotonic() > end or now > count:
                raise AssertionError(f"{now} packets opened instead of {count}; dropped {self.drops()}")
            time.sleep(0.01)
