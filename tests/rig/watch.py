# SPDX-License-Identifier: Apache-2.0
"""What `sallyport watch` tells, as it comes."""

import json
import queue
import subprocess
import threading
import time

from .daemon import BIN


class Watch:
    """with Watch(rig, "acquire") as watch: ...; the events of these kinds, or of all, from when it watches."""

    def __init__(self, rig, *kinds, daemon=None):
        words = [word for kind in kinds for word in ("--kind", kind)]
        daemon = daemon or rig.daemon
        self.process = subprocess.Popen(rig.gw.command(BIN / "sallyport", "watch", "--json", *words, "--socket", daemon.control),
                                        stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        time.sleep(0.3)

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def next(self, timeout=3.0):
        """The next event, None: there is none in time."""
        try:
            return self.lines.get(timeout=timeout)
        except queue.Empty:
            return None

    def stop(self):
        """Those that are left, once all that is looked at once a second has been looked at."""
        time.sleep(1.3)
        self.close()
        left = []
        while not self.lines.empty():
            left.append(self.lines.get())
        return left

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.reader.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
