"""What the process that runs a user's Python may ask of the kernel: a filter of system calls.

It is a list of what is allowed, so a call that nobody has thought of is refused (seccomp(2);
Documentation/userspace-api/seccomp_filter.rst of the kernel). There are two filters. While modules
of the standard library are imported, files may be opened to be read. Then a second filter takes
that away: no file, no socket of any kind, no other process, no thread. What remains is memory,
time, and the pipes that are open.
"""

from __future__ import annotations

import platform
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass

# struct seccomp_data: where a call's number, its architecture and its arguments are.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
# Classic BPF (linux/bpf_common.h): load a word, jump if equal, jump if at least, mask, return.
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
# linux/seccomp.h.
_KILL, _ERROR, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_EPERM, _EACCES = 1, 13
# A call of the x32 ABI has this bit in its number, and x86-64's architecture (asm/unistd.h).
_X32 = 0x40000000
# A path that is only read: none of O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND (fcntl.h), which
# are the same on both architectures.
_WRITES = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000


@dataclass(frozen=True, slots=True)
class Machine:
    """The system calls of an architecture.

    Attributes:
        audit: its AUDIT_ARCH (linux/audit.h).
        always: the calls that are always allowed, by name.
        reading: those that are allowed while modules are imported.
        opening: those that open a file, with the argument that has its flags.
    """

    audit: int
    always: dict[str, int]
    reading: dict[str, int]
    opening: dict[str, tuple[int, int]]


MACHINES = {
    "x86_64": Machine(
        0xC000003E,
        {
            "read": 0,
            "write": 1,
            "close": 3,
            "poll": 7,
            "mmap": 9,
            "mprotect": 10,
            "munmap": 11,
            "brk": 12,
            "rt_sigaction": 13,
            "rt_sigprocmask": 14,
            "rt_sigreturn": 15,
            "readv": 19,
            "writev": 20,
            "select": 23,
            "sched_yield": 24,
            "mremap": 25,
            "madvise": 28,
            "nanosleep": 35,
            "getpid": 39,
            "exit": 60,
            "gettimeofday": 96,
            "getrusage": 98,
            "sysinfo": 99,
            "times": 100,
            "getuid": 102,
            "getgid": 104,
            "geteuid": 107,
            "getegid": 108,
            "getppid": 110,
            "sigaltstack": 131,
            "gettid": 186,
            "time": 201,
            "futex": 202,
            "sched_getaffinity": 204,
            "restart_syscall": 219,
            "clock_gettime": 228,
            "clock_getres": 229,
            "clock_nanosleep": 230,
            "exit_group": 231,
            "pselect6": 270,
            "ppoll": 271,
            "getrandom": 318,
            "membarrier": 324,
            "rseq": 334,
        },
        {
            "stat": 4,
            "fstat": 5,
            "lstat": 6,
            "lseek": 8,
            "ioctl": 16,
            "pread64": 17,
            "access": 21,
            "uname": 63,
            "fcntl": 72,
            "getcwd": 79,
            "readlink": 89,
            "getdents64": 217,
            "newfstatat": 262,
            "readlinkat": 267,
            "faccessat": 269,
            "seccomp": 317,
            "statx": 332,
            "faccessat2": 439,
        },
        {"open": (2, 1), "openat": (257, 2)},
    ),
    "aarch64": Machine(
        0xC00000B7,
        {
            "close": 57,
            "read": 63,
            "write": 64,
            "readv": 65,
            "writev": 66,
            "pselect6": 72,
            "ppoll": 73,
            "exit": 93,
            "exit_group": 94,
            "futex": 98,
            "nanosleep": 101,
            "clock_gettime": 113,
            "clock_getres": 114,
            "clock_nanosleep": 115,
            "sched_getaffinity": 123,
            "sched_yield": 124,
            "restart_syscall": 128,
            "sigaltstack": 132,
            "rt_sigaction": 134,
            "rt_sigprocmask": 135,
            "rt_sigreturn": 139,
            "times": 153,
            "getrusage": 165,
            "gettimeofday": 169,
            "getpid": 172,
            "getppid": 173,
            "getuid": 174,
            "geteuid": 175,
            "getgid": 176,
            "getegid": 177,
            "gettid": 178,
            "sysinfo": 179,
            "brk": 214,
            "munmap": 215,
            "mremap": 216,
            "mmap": 222,
            "mprotect": 226,
            "madvise": 233,
            "getrandom": 278,
            "membarrier": 283,
            "rseq": 293,
        },
        {
            "getcwd": 17,
            "fcntl": 25,
            "ioctl": 29,
            "faccessat": 48,
            "getdents64": 61,
            "lseek": 62,
            "pread64": 67,
            "readlinkat": 78,
            "newfstatat": 79,
            "fstat": 80,
            "uname": 160,
            "seccomp": 277,
            "statx": 291,
            "faccessat2": 439,
        },
        {"openat": (56, 2)},
    ),
}


def filters() -> tuple[bytes, bytes] | None:
    """The two filters for this machine, in their order; None where there are none."""
    machine = MACHINES.get(platform.machine())
    if machine is None or not sys.platform.startswith("linux"):
        return None
    return compiled(machine, reading=True), compiled(machine, reading=False)


def compiled(machine: Machine, *, reading: bool) -> bytes:
    """A filter as the kernel takes it: an array of ``struct sock_filter``."""
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, machine.audit, then=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
        _line(_AT_LEAST, _X32, otherwise=1),
        _line(_RETURN, _KILL),
    ]
    numbers = [*machine.always.values(), *(machine.reading.values() if reading else ())]
    for number in numbers:
        lines += [_line(_EQUAL, number, otherwise=1), _line(_RETURN, _ALLOW)]
    for number, argument in machine.opening.values() if reading else ():
        lines += _opens(number, argument)
    return b"".join([*lines, _line(_RETURN, _ERROR | _EPERM)])


def _opens(number: int, argument: int) -> Iterable[bytes]:
    """A call that opens a file, allowed where its flags are those of reading."""
    return (
        _line(_EQUAL, number, otherwise=5),
        # The flags are in the lower half of the argument; both machines are little endian.
        _line(_LOAD, _ARGUMENTS + 8 * argument),
        _line(_AND, _WRITES),
        _line(_EQUAL, 0, otherwise=1),
        _line(_RETURN, _ALLOW),
        _line(_RETURN, _ERROR | _EACCES),
    )


def _line(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
