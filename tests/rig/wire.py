# SPDX-License-Identifier: Apache-2.0
"""Frames on an interface: sent and received by AF_PACKET (Tap), recorded by tcpdump (Recorder)."""

import errno
import os
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .net import RigError

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 8, 23
TP_STATUS_VLAN_VALID = 1 << 4
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32


def mac_octets(mac):
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(destination, source, packet, kind=None):
    """A frame around an IP packet (or anything else, if `kind` says so)."""
    if kind is None:
        kind = 0x86DD if packet and packet[0] >> 4 == 6 else 0x0800
    return mac_octets(destination) + mac_octets(source) + struct.pack("!H", kind) + packet


class Tap:
    """What goes in and out of one interface. `send` puts whole frames on the wire; `receive` gives what came in from the other end."""

    def __init__(self, space, interface):
        self.space, self.interface = space, interface
        self.mac = space.mac(interface)
        with space.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
        self.socket.bind((interface, ETH_P_ALL))
        self.socket.setblocking(False)
        self.drain()

    def send(self, frame):
        end = time.monotonic() + 5
        while True:
            try:
                self.socket.send(frame)
                return
            except BlockingIOError:
                select.select([], [self.socket], [], 0.1)
            except OSError as fault:  # the link went down since the last call: said once
                if fault.errno != errno.ENETDOWN:
                    raise
            if time.monotonic() > end:
                raise RigError(f"{self.interface} takes no frames")

    def _next(self):
        try:
            frame, ancillary, _, _ = self.socket.recvmsg(65536, 256)
        except BlockingIOError:
            return None
        except OSError as fault:  # the link went down since the last call: said once
            if fault.errno != errno.ENETDOWN:
                raise
            return None
        for level, kind, data in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA and len(data) >= 20:
                status, _, _, _, _, tci, protocol = struct.unpack("IIIHHHH", data[:20])
                if status & TP_STATUS_VLAN_VALID:  # the kernel keeps the tag beside the frame: put it back
                    frame = frame[:12] + struct.pack("!HH", protocol or 0x8100, tci) + frame[12:]
        return frame

    def drain(self):
        while self._next() is not None:
            pass

    def receive(self, wanted=None, timeout=2.0):
        """The next frame for which wanted(frame) is true, others are thrown away; None when the time is over."""
        end = time.monotonic() + timeout
        while True:
            frame = self._next()
            if frame is not None:
                if wanted is None or wanted(frame):
                    return frame
                continue
            left = end - time.monotonic()
            if left <= 0:
                return None
            select.select([self.socket], [], [], left)

    def collect(self, count, wanted=None, timeout=3.0):
        """Up to `count` frames within the time, at once when they are there."""
        end = time.monotonic() + timeout
        frames = []
        while len(frames) < count:
            frame = self.receive(wanted, end - time.monotonic())
            if frame is None:
                break
            frames.append(frame)
        return frames

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@dataclass
class Recorded:
    time: float
    frame: bytes

    @property
    def kind(self):
        return struct.unpack_from("!H", self.frame, 12)[0]

    @property
    def packet(self):
        return self.frame[14:]

    def clear(self):
        """It is neither ESP nor the links' own housekeeping."""
        return self.what() not in ("esp", "arp", "nd")

    def what(self):
        """One word for the frame: esp, arp, nd, other IPv6 housekeeping, or the clear protocol that it carries."""
        if self.kind == 0x0806:
            return "arp"
        packet = self.packet
        if self.kind == 0x0800 and len(packet) >= 20:
            return "esp" if packet[9] == 50 else f"ipv4 protocol {packet[9]}"
        if self.kind == 0x86DD and len(packet) >= 40:
            following, offset = packet[6], 40
            while following in (0, 43, 60) and len(packet) >= offset + 8:
                following, offset = packet[offset], offset + 8 + packet[offset + 1] * 8
            if following == 50:
                return "esp"
            if following == 58 and len(packet) > offset and 130 <= packet[offset] <= 137:
                return "nd"
            if following == 58 and len(packet) > offset and packet[offset] == 143:
                return "nd"  # multicast listener report, of the kernels themselves
            return f"ipv6 protocol {following}"
        return f"ethertype {self.kind:#06x}"

    def esp(self):
        """(source, destination, SPI, sequence number) of an ESP packet, else None."""
        if self.what() != "esp":
            return None
        packet = self.packet
        if self.kind == 0x0800:
            offset = (packet[0] & 15) * 4
            return packet[12:16], packet[16:20], *struct.unpack_from("!II", packet, offset)
        return packet[8:24], packet[24:40], *struct.unpack_from("!II", packet, 40)


def read_capture(path):
    """The frames of a capture file (pcap, microseconds or nanoseconds, the machine's own byte order)."""
    data = Path(path).read_bytes()
    if len(data) < 24:
        return []
    magic = struct.unpack_from("I", data)[0]
    unit = {0xA1B2C3D4: 1e-6, 0xA1B23C4D: 1e-9}[magic]
    offset, frames = 24, []
    while offset + 16 <= len(data):
        seconds, fraction, kept, _ = struct.unpack_from("IIII", data, offset)
        offset += 16
        frames.append(Recorded(seconds + fraction * unit, data[offset : offset + kept]))
        offset += kept
    return frames


class Recorder:
    """Records an interface by tcpdump until stop(); then `frames` holds everything. Losing a frame of the record is an error."""

    def __init__(self, space, interface, octets=160, path=None, only=None):
        self.interface = interface
        self.file = path or tempfile.mktemp(prefix=f"{space.name}-{interface}-", suffix=".pcap")
        words = ["tcpdump", "-i", interface, "-w", self.file, "-s", str(octets), "-B", "65536", "--immediate-mode", "-n", "-p", "-Z", "root"]
        self.process = subprocess.Popen(space.command(*words, *([only] if only else [])), stderr=subprocess.PIPE,
                                        process_group=0)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.said = ""
        end = time.monotonic() + 10
        while "listening on" not in self.said:
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise RigError(f"tcpdump does not record {interface}: {self.said}")
            select.select([self.process.stderr], [], [], 0.1)
            self.said += (self.process.stderr.read() or b"").decode()

    def _read(self, seconds):
        select.select([self.process.stderr], [], [], seconds)
        self.said += (self.process.stderr.read() or b"").decode()

    def stop(self):
        """The frames. Waits until tcpdump has taken everything that the kernel holds for it."""
        end = time.monotonic() + 20
        while True:
            self.said = ""
            self.process.send_signal(signal.SIGUSR1)  # it says how far it is
            until = min(end, time.monotonic() + 1)
            while "dropped by kernel" not in self.said and time.monotonic() < until:
                self._read(0.1)
            taken, seen = (re.search(rf"(\d+) packets? {word}", self.said) for word in ("captured", "received by filter"))
            if taken and seen and taken[1] == seen[1]:
                break
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise RigError(f"the record of {self.interface} is not whole: {self.said}")
            time.sleep(0.02)
        self.process.send_signal(signal.SIGINT)
        os.set_blocking(self.process.stderr.fileno(), True)
        try:
            self.said += (self.process.communicate(timeout=20)[1] or b"").decode()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise RigError(f"tcpdump on {self.interface} does not stop") from None
        lost = re.findall(r"(\d+) packets? dropped by kernel", self.said)
        if not lost or int(lost[-1]):
            raise RigError(f"the record of {self.interface} has holes: {self.said}")
        return read_capture(self.file)

    def __enter__(self):
        self.frames = []
        return self

    def __exit__(self, *_):
        self.frames = self.stop()
