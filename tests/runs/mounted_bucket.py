"""A folder that answers as a bucket of the Hub does that hf-mount has mounted in its streaming mode; Linux, as root.

    python tests/runs/mounted_bucket.py FOLDER      until FOLDER is unmounted

A file is written once, from its beginning to its end, and is there when it is closed. Opened for writing it has to be
written anew (EPERM otherwise); who had it open for writing before gets EIO from then on, also when closing it. Found in
src/virtual_fs/mod.rs and src/fuse.rs of https://github.com/huggingface/hf-mount at 0302c71. The kernel asks by the
protocol of linux/fuse.h.
"""

import ctypes
import errno
import os
import stat
import struct
import sys
import time
from dataclasses import dataclass, field

MOST = 1 << 20  # bytes of one write
HEAD = struct.Struct("<IIQQ")  # length, operation, unique, node
FORGET, BATCH_FORGET, INTERRUPT = 2, 42, 36  # have no answer


@dataclass
class Node:
    """A file or a folder."""

    is_folder: bool
    inside: dict[bytes, int] = field(default_factory=dict)
    content: bytes = b""
    changed: float = field(default_factory=time.time)


@dataclass
class Handle:
    """An open file."""

    node: int
    writes: bool
    written: bytearray = field(default_factory=bytearray)
    state: str = "writing"


class Bucket:
    """The operations, each from the node and what the kernel sends to what it gets back."""

    def __init__(self):
        self.nodes = {1: Node(is_folder=True)}
        self.handles = {}
        self.last = 1
        self.operations = {
            1: self.lookup,
            3: self.attributes,
            4: self.attributes,  # a change of the size is passed over in silence
            9: self.make_folder,
            10: self.remove,
            11: self.remove,
            12: lambda node, body: self.rename(node, body, 8),
            14: self.open,
            15: self.read,
            16: self.write,
            17: lambda _node, _body: struct.pack("<QQQQQIIII24x", *(1 << 30,) * 3, *(1 << 20,) * 2, 4096, 255, 4096, 0),
            18: self.release,
            20: lambda _node, _body: b"",
            25: self.flush,
            26: lambda _node, _body: struct.pack("<IIIIHHI40x", 7, 31, MOST, 1 << 3, 64, 48, MOST),  # O_TRUNC with open
            27: lambda _node, _body: struct.pack("<QII", 0, 0, 0),
            28: self.names,
            29: lambda _node, _body: b"",
            30: lambda _node, _body: b"",
            35: self.create,
            45: lambda node, body: self.rename(node, body, 16),
        }

    def answer(self, operation, node, body):
        if operation not in self.operations:
            raise OSError(errno.ENOSYS, "")
        return self.operations[operation](node, body)

    def _attributes(self, number):
        node = self.nodes[number]
        seconds, parts = divmod(node.changed, 1)
        times, size = (int(seconds),) * 3, len(node.content)
        mode = stat.S_IFDIR | 0o755 if node.is_folder else stat.S_IFREG | 0o644
        nanoseconds = (int(parts * 1e9),) * 3
        ids = (os.getuid(), os.getgid())
        return struct.pack("<6Q10I", number, size, (size + 511) // 512, *times, *nanoseconds, mode, 1, *ids, 0, 4096, 0)

    def _entry(self, number):
        return struct.pack("<QQQQII", number, 0, 0, 0, 0, 0) + self._attributes(number)

    def _inside(self, folder, name):
        if name not in self.nodes[folder].inside:
            raise OSError(errno.ENOENT, "")
        return self.nodes[folder].inside[name]

    def _new(self, folder, name, *, is_folder):
        if name in self.nodes[folder].inside:
            raise OSError(errno.EEXIST, "")
        self.last += 1
        self.nodes[self.last] = Node(is_folder)
        self.nodes[folder].inside[name] = self.last
        return self.last

    def _opened(self, number, *, writes):
        if writes:
            for handle in self._writers(number):
                handle.state = "superseded"
            self.nodes[number].content = b""
        self.last += 1
        self.handles[self.last] = Handle(number, writes)
        return struct.pack("<QII", self.last, 0, 0)

    def _writers(self, number):
        return [
            handle
            for handle in self.handles.values()
            if handle.node == number and handle.state == "writing" and handle.writes
        ]

    def _commit(self, handle):
        if handle.writes and handle.state == "writing":
            self.nodes[handle.node].content = bytes(handle.written)
            self.nodes[handle.node].changed = time.time()
            handle.state = "committed"

    def lookup(self, node, body):
        return self._entry(self._inside(node, body.rstrip(b"\0")))

    def attributes(self, node, _body):
        return struct.pack("<QII", 0, 0, 0) + self._attributes(node)

    def make_folder(self, node, body):
        return self._entry(self._new(node, body[8:].split(b"\0")[0], is_folder=True))

    def create(self, node, body):
        number = self._new(node, body[16:].split(b"\0")[0], is_folder=False)
        return self._entry(number) + self._opened(number, writes=True)

    def open(self, node, body):
        (flags,) = struct.unpack_from("<I", body)
        writes = bool(flags & os.O_ACCMODE)
        if writes and not flags & os.O_TRUNC:
            raise OSError(errno.EPERM, "")
        return self._opened(node, writes=writes)

    def read(self, node, body):
        handle, offset, size = struct.unpack_from("<QQI", body)
        if self.handles[handle].writes:
            raise OSError(errno.EBADF, "")
        return self.nodes[node].content[offset : offset + size]

    def write(self, _node, body):
        number, offset, size = struct.unpack_from("<QQI", body)
        handle = self.handles[number]
        if handle.state != "writing":
            raise OSError(errno.EIO, "")
        if offset != len(handle.written):
            raise OSError(errno.EINVAL, "")
        handle.written += body[40 : 40 + size]
        return struct.pack("<II", size, 0)

    def flush(self, _node, body):
        handle = self.handles[struct.unpack_from("<Q", body)[0]]
        if handle.state == "superseded":
            raise OSError(errno.EIO, "")
        if handle.written:
            self._commit(handle)
        return b""

    def release(self, _node, body):
        self._commit(self.handles.pop(struct.unpack_from("<Q", body)[0]))
        return b""

    def remove(self, node, body):
        name = body.rstrip(b"\0")
        number = self._inside(node, name)
        if self.nodes[number].inside:
            raise OSError(errno.ENOTEMPTY, "")
        if self._writers(number):
            raise OSError(errno.EPERM, "")
        del self.nodes[node].inside[name]
        return b""

    def rename(self, node, body, head):
        (folder,) = struct.unpack_from("<Q", body)
        before, after = body[head:].split(b"\0")[:2]
        number = self._inside(node, before)
        del self.nodes[node].inside[before]
        self.nodes[folder].inside[after] = number
        return b""

    def names(self, node, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        listed = b""
        for place, (name, number) in enumerate(list(self.nodes[node].inside.items()), 1):
            kind = stat.S_IFMT(stat.S_IFDIR if self.nodes[number].is_folder else stat.S_IFREG) >> 12
            entry = struct.pack("<QQII", number, place, len(name), kind) + name
            entry += b"\0" * (-len(entry) % 8)
            if place > offset and len(listed) + len(entry) <= size:
                listed += entry
        return listed


def mount(folder):
    """The descriptor by which the kernel asks."""
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={descriptor},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    if libc.mount(b"bucket", os.fsencode(folder), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor


def unmount(folder):
    """Also where a process still has a file of it open."""
    detach = 2  # MNT_DETACH
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(folder), detach)


def serve(descriptor):
    """Answers until the folder is unmounted."""
    bucket = Bucket()
    while True:
        try:
            request = os.read(descriptor, MOST + 65536)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            if error.errno in (errno.EINTR, errno.ENOENT):
                continue
            raise
        length, operation, unique, node = HEAD.unpack_from(request)
        if operation in (FORGET, BATCH_FORGET, INTERRUPT):
            continue
        number, answer = 0, b""
        try:
            answer = bucket.answer(operation, node, request[40:length])
        except OSError as error:
            number = -error.errno
        try:
            os.write(descriptor, struct.pack("<IiQ", 16 + len(answer), number, unique) + answer)
        except OSError as error:
            if error.errno != errno.ENOENT:  # who asked has been killed
                raise


if __name__ == "__main__":
    asked = mount(sys.argv[1])
    print("mounted", flush=True)
    serve(asked)
