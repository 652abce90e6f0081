"""Network namespaces and their interfaces, with nothing but Python: no ip, no nft, no root.

The process enters a user namespace of its own, in which it is root. Each host is a network
namespace, kept by a descriptor, with one TUN device: we read from it what the host's programs send,
and write to it what they are to receive.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import TypeVar

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # <linux/sched.h>
TUNSETIFF = 0x400454CA  # <linux/if_tun.h>
IFF_TUN, IFF_NO_PI = 0x1, 0x1000
SIOCADDRT, SIOCGIFFLAGS, SIOCSIFFLAGS = 0x890B, 0x8913, 0x8914  # <linux/sockios.h>
SIOCSIFADDR, SIOCSIFNETMASK, SIOCDIFADDR = 0x8916, 0x891C, 0x8936
IFF_UP = 0x1
RTF_UP, RTF_GATEWAY = 0x1, 0x2  # <linux/route.h>
INTERFACE = b"eth0"

T = TypeVar("T")


class NoNamespaces(Exception):
    """This system has no network namespaces or forbids them; the text says which."""


def become_root_of_a_namespace() -> None:
    """Move this process, which must have one thread, into namespaces in which it may do all this.

    Loopback is up there, and is all that there is.

    Raises:
        NoNamespaces: nothing has changed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        raise NoNamespaces("this system has no network namespaces")
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        raise NoNamespaces(f"user namespaces are forbidden: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    set_up(b"lo", up=True)


def check_tun() -> None:
    """Return if hosts can be made here.

    Raises:
        NoNamespaces: they can't.
    """
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise NoNamespaces("/dev/net/tun is missing, or this user may not open it")


def enter(namespace: int | str) -> None:
    """Move this thread into a network namespace, given by its descriptor or its path."""
    descriptor = os.open(namespace, os.O_RDONLY) if isinstance(namespace, str) else namespace
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def new_namespace() -> int:
    """Return a descriptor that keeps a new network namespace, whose loopback is up."""

    def make() -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        set_up(b"lo", up=True)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    return _in_thread(make)


def inside(namespace: int, act: Callable[[], T]) -> T:
    """Return what `act` returns in that namespace; a socket that it makes stays there."""

    def enter_and_act() -> T:
        enter(namespace)
        return act()

    return _in_thread(enter_and_act)


def new_tun(name: bytes) -> int:
    """Return the descriptor of a new TUN device, which lasts as long as that is open."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name, IFF_TUN | IFF_NO_PI))
    return descriptor


def set_up(name: bytes, *, up: bool) -> None:
    """Set an interface up or down; down takes its routes and its IPv6 addresses with it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16s24x", name))
        flags = struct.unpack_from("16xH", request)[0]
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", name, flags))


def set_ipv4(name: bytes, address: IPv4Interface | None) -> None:
    """Give an interface this IPv4 address instead of the one that it had; None takes it away."""
    host = address.ip.packed if address else bytes(4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFADDR, struct.pack("16s16s8x", name, _ipv4(host)))
        if address:
            mask = _ipv4(address.netmask.packed)
            fcntl.ioctl(any_socket, SIOCSIFNETMASK, struct.pack("16s16s8x", name, mask))


def add_ipv4_default(name: bytes, gateway: bytes) -> None:
    """Send what goes to no network of this host by way of that gateway."""
    device = ctypes.create_string_buffer(name)
    route = struct.pack(
        "@L16s16s16sHhLLhPLLH",
        *(0, _ipv4(bytes(4)), _ipv4(gateway), _ipv4(bytes(4)), RTF_UP | RTF_GATEWAY),
        *(0, 0, 0, 0, ctypes.addressof(device), 0, 0, 0),
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCADDRT, route)


def add_ipv6(name: bytes, address: IPv6Interface) -> None:
    """Give an interface one more IPv6 address, and make it the way to all others."""
    index = socket.if_nametoindex(name.decode())
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        packed = struct.pack("@16sIi", address.ip.packed, address.network.prefixlen, index)
        fcntl.ioctl(any_socket, SIOCSIFADDR, packed)
        route = struct.pack("@16s16s16sIHHILIi", b"", b"", b"", 0, 0, 0, 1, 0, RTF_UP, index)
        fcntl.ioctl(any_socket, SIOCADDRT, route)


def _ipv4(host: bytes) -> bytes:
    return struct.pack("=HH4s8x", socket.AF_INET, 0, host)


def _in_thread(act: Callable[[], T]) -> T:
    """Run `act` in a thread of its own, as the namespace of a thread is its own too."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(act).result()
