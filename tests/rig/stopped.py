# SPDX-License-Identifier: Apache-2.0
"""One thread of a process held still by ptrace(2), as nothing else can: SIGSTOP stops them all."""

import contextlib
import ctypes
import os
import threading

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, tid):
    if _libc.ptrace(request, tid, None, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace {request:#x} of {tid}: {os.strerror(number)}")


@contextlib.contextmanager
def thread(tid):
    """The thread does nothing inside the block, which may outlive it. The block must stay in the calling thread."""
    _ptrace(PTRACE_SEIZE, tid)
    try:
        _ptrace(PTRACE_INTERRUPT, tid)
        os.waitpid(tid, WALL)
        # Its end is told to us first: until somebody waits for that, the process does not end.
        threading.Thread(target=_wait, args=[tid], daemon=True).start()
        yield
    finally:
        with contextlib.suppress(OSError):  # it has ended
            _ptrace(PTRACE_DETACH, tid)


def _wait(tid):
    with contextlib.suppress(ChildProcessError):
        os.waitpid(tid, WALL)
