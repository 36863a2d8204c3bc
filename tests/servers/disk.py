"""A disk of this process's own: a tmpfs in a mount namespace that only it and its children see, and that ends with them."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_NEW_NAMESPACE = 0x00020000
_NEW_USER = 0x10000000
_PRIVATE = 0x40000 | 0x4000
"""MS_PRIVATE | MS_REC"""


def own_disk(where: Path, mib: int) -> None:
    """What is written in this folder goes to a disk of so many MiB. Raises OSError where the machine doesn't allow it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        raise OSError("there are no mount namespaces on this system")
    user, group = os.geteuid(), os.getegid()
    _check(libc.unshare(_NEW_NAMESPACE if user == 0 else _NEW_NAMESPACE | _NEW_USER), "unshare")
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _check(libc.mount(b"none", b"/", None, _PRIVATE, None), "mount --make-rprivate /")
    _check(libc.mount(b"tmpfs", str(where).encode(), b"tmpfs", 0, f"size={mib}m,mode=0700".encode()), "mount tmpfs")


def leave_disk(where: Path) -> None:
    """The folder is a plain one again; what was on the disk is gone once nobody has it open."""
    detach = 2
    ctypes.CDLL(None, use_errno=True).umount2(str(where).encode(), detach)


def _check(code: int, what: str) -> None:
    if code != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
