"""Whether the kernel's device events can reach this process at all.

The kernel sends them to the network namespaces that the first user namespace owns, and to no other
(uevent_net_broadcast in lib/kobject_uevent.c, since Linux 4.18). In another one the socket opens, and every wait runs
to its limit.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

NS_GET_USERNS = 0xB701
"""_IO(0xb7, 1) of linux/nsfs.h: the user namespace that owns a namespace; see ioctl_ns(2)."""
FIRST_USER_NAMESPACE = 0xEFFFFFFD
"""Inode of the user namespace that the host booted with (PROC_USER_INIT_INO of linux/proc_ns.h)."""


def is_deaf(namespace: Path = Path("/proc/self/ns/net")) -> bool:
    """Tell whether no device event comes into this network namespace; False also where the kernel does not say."""
    try:
        mine = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        owner = fcntl.ioctl(mine, NS_GET_USERNS)
    except OSError:
        # EPERM: the owner is outside of what this process sees, as in a user namespace that kept the host's network.
        return False
    finally:
        os.close(mine)
    try:
        return os.fstat(owner).st_ino != FIRST_USER_NAMESPACE
    finally:
        os.close(owner)
