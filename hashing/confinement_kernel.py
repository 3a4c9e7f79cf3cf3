"""The few system calls that confine a process, by ``ctypes``. Standard library only, Linux only where it says so.

Written by hand, since what is needed are five calls and a filter of a hundred instructions, and the processes that
use it load nothing but the standard library before they are confined. Bindings of libseccomp need that library on
the machine or have no wheels for this Python; those of Landlock are younger than what they would replace.

Sources: ``seccomp(2)``, ``bpf(4)`` and ``linux/{seccomp,filter,audit}.h`` for the filter; ``landlock(7)`` and
``linux/landlock.h``; ``prctl(2)``, ``unshare(2)``, ``capabilities(7)``; numbers of system calls from
``asm/unistd_64.h`` (x86_64) and ``asm-generic/unistd.h`` (aarch64).
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import struct
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = [
    "ALLOW",
    "CLONE_NEWNET",
    "CLONE_NEWUSER",
    "EXEC_FILE",
    "KILL",
    "READ",
    "READ_WRITE_FILE",
    "Program",
    "deny",
    "drop_capabilities",
    "has_capability",
    "install",
    "landlock_abi",
    "machine",
    "no_new_privileges",
    "number",
    "restrict_files",
    "set_death_signal",
    "set_dumpable",
    "unshare",
]

# ── Numbers ───────────────────────────────────────────────────────────────────────────────────
_MACHINES = {"x86_64": 0, "aarch64": 1}
_AUDIT_ARCH = (0xC000003E, 0xC00000B7)  # AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64
_X32_BIT = (
    0x40000000  # Marks calls of the x32 ABI on x86_64: other numbers behind the same architecture.
)

# name: (x86_64, aarch64). None: the machine has no such call.
_NUMBERS: Mapping[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "open": (2, None), "close": (3, 57), "stat": (4, None),
    "fstat": (5, 80), "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "ioctl": (16, 29), "pread64": (17, 67),
    "pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66), "access": (21, None),
    "pipe": (22, None), "select": (23, None), "sched_yield": (24, 124), "mremap": (25, 216),
    "shmat": (30, 196), "madvise": (28, 233), "dup": (32, 23), "dup2": (33, None),
    "nanosleep": (35, 101), "getitimer": (36, 102), "setitimer": (38, 103), "getpid": (39, 172),
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "sendto": (44, 206),
    "sendmsg": (46, 211), "bind": (49, 200), "listen": (50, 201), "socketpair": (53, 199),
    "clone": (56, 220), "fork": (57, None), "vfork": (58, None), "execve": (59, 221),
    "exit": (60, 93), "kill": (62, 129), "uname": (63, 160), "fcntl": (72, 25),
    "fdatasync": (75, 83), "ftruncate": (77, 46), "getcwd": (79, 17), "readlink": (89, None),
    "umask": (95, 166), "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165),
    "sysinfo": (99, 179), "times": (100, 153), "ptrace": (101, 117), "getuid": (102, 174),
    "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173),
    "sigaltstack": (131, 132), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "prctl": (157, 167), "arch_prctl": (158, None), "setrlimit": (160, 164), "chroot": (161, 51),
    "mount": (165, 40), "umount2": (166, 39), "init_module": (175, 105), "gettid": (186, 178),
    "tkill": (200, 130), "time": (201, None), "futex": (202, 98), "sched_setaffinity": (203, 122),
    "sched_getaffinity": (204, 123), "set_tid_address": (218, 96), "restart_syscall": (219, 128),
    "getdents64": (217, 61), "fadvise64": (221, 223), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "tgkill": (234, 131), "kexec_load": (246, 104), "mbind": (237, 235), "set_mempolicy": (238, 237), "add_key": (248, 217),
    "request_key": (249, 218), "get_mempolicy": (239, 236), "keyctl": (250, 219), "openat": (257, 56), "newfstatat": (262, 79),
    "readlinkat": (267, 78), "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73),
    "unshare": (272, 97), "set_robust_list": (273, 99), "get_robust_list": (274, 100),
    "dup3": (292, 24), "pipe2": (293, 59), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "perf_event_open": (298, 241), "prlimit64": (302, 261),
    "open_by_handle_at": (304, 265), "setns": (308, 268), "getcpu": (309, 168),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "finit_module": (313, 273),
    "seccomp": (317, 277), "getrandom": (318, 278), "memfd_create": (319, 279), "bpf": (321, 280),
    "execveat": (322, 281), "userfaultfd": (323, 282), "membarrier": (324, 283),
    "statx": (332, 291), "rseq": (334, 293), "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "pidfd_open": (434, 434), "clone3": (435, 435), "openat2": (437, 437),
    "pidfd_getfd": (438, 438), "faccessat2": (439, 439), "process_madvise": (440, 440),
    "landlock_create_ruleset": (444, 444), "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}  # fmt: skip


def machine() -> int | None:
    """Return the column of this processor in the table of numbers; None where there is none, or no Linux."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    return _MACHINES.get(platform.machine())


def number(name: str) -> int | None:
    """Return the number of a system call on this machine, or None if it has none. KeyError if unknown."""
    column = machine()
    return None if column is None else _NUMBERS[name][column]


# ── The filter ────────────────────────────────────────────────────────────────────────────────
KILL = (
    0x80000000  # SECCOMP_RET_KILL_PROCESS: the process ends with SIGSYS, all its threads with it.
)
ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data, little endian
_LONGEST = 4096


def deny(code: int) -> int:
    """Return the verdict “the call fails with this errno”."""
    return _ERRNO | code


class Program:
    """A filter under construction: rules in order, then a verdict for every other call.

    Each rule is a block that begins with "not this call: behind the block" and ends with a verdict, so that blocks
    know nothing of each other. Only the lower halves of arguments are looked at: all that are compared are ints or
    flags of which the kernel itself reads no more.
    """

    def __init__(self) -> None:
        column = machine()
        if column is None:
            raise OSError(errno.ENOSYS, "no table of system calls for this machine")
        self._code = [
            (_LOAD, 0, 0, _ARCH_AT),
            (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[column]),
            (_RETURN, 0, 0, KILL),  # Another ABI (32-bit calls): its numbers mean other things.
            (_LOAD, 0, 0, _NUMBER_AT),
        ]
        if column == 0:
            self._code += [(_JUMP_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, KILL)]

    def _block(self, name: str, rest: list[tuple[int, int, int, int]]) -> None:
        if (call := number(name)) is not None:
            self._code += [(_JUMP_EQUAL, 0, len(rest), call), *rest]

    def add(self, names: Iterable[str], verdict: int = ALLOW) -> None:
        """Give the same verdict for each of these calls."""
        for name in names:
            self._block(name, [(_RETURN, 0, 0, verdict)])

    def unless_bits(self, name: str, argument: int, bits: int, verdict: int = KILL) -> None:
        """Allow a call whose argument has none of ``bits``."""
        self._block(
            name,
            [
                (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument),
                (_JUMP_ANY_BIT, 0, 1, bits),
                (_RETURN, 0, 0, verdict),
                (_RETURN, 0, 0, ALLOW),
            ],
        )

    def only_values(
        self, name: str, argument: int, values: Iterable[int], verdict: int = KILL
    ) -> None:
        """Allow a call whose argument is one of ``values``."""
        tests: list[tuple[int, int, int, int]] = []
        for value in values:
            tests += [(_JUMP_EQUAL, 0, 1, value), (_RETURN, 0, 0, ALLOW)]
        self._block(
            name,
            [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument), *tests, (_RETURN, 0, 0, verdict)],
        )

    def only_threads(self) -> None:
        """Allow ``clone`` of a thread of this process, never of a process or into a new namespace.

        ``clone3`` hides its flags behind a pointer, which no filter can follow: "not there" makes the C library
        fall back on ``clone``.
        """
        thread, namespaces = 0x00010000, 0x7E020080
        self._block(
            "clone",
            [
                (_LOAD, 0, 0, _ARGUMENTS_AT),
                (_JUMP_ANY_BIT, 0, 2, thread),
                (_JUMP_ANY_BIT, 1, 0, namespaces),
                (_RETURN, 0, 0, ALLOW),
                (_RETURN, 0, 0, KILL),
            ],
        )
        self.add(["clone3"], deny(errno.ENOSYS))

    def assembled(self, otherwise: int) -> bytes:
        """Return the filter's instructions (``struct sock_filter``)."""
        code = [*self._code, (_RETURN, 0, 0, otherwise)]
        if len(code) > _LONGEST:
            raise ValueError("the filter is too long")
        return b"".join(struct.pack("=HBBI", *each) for each in code)


# ── Calls ─────────────────────────────────────────────────────────────────────────────────────
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _call(name: str, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    call = number(name)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    passed = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    syscall = _libc().syscall
    syscall.restype = ctypes.c_long
    return _checked(int(syscall(ctypes.c_long(call), *passed)))


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    _checked(_libc().prctl(option, ctypes.c_ulong(value), zero, zero, zero))


def set_dumpable(*, dumpable: bool) -> None:
    """Say whether processes of the same uid may read this one's memory and ``/proc`` entries."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def set_death_signal(signal: int) -> None:
    """Have the kernel send a signal when the parent ends. Forgotten when the uid changes: set it after that."""
    _prctl(_PR_SET_PDEATHSIG, signal)


def no_new_privileges() -> None:
    """Give up for ever what set-uid programs and file capabilities would grant."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def unshare(flags: int) -> None:
    """Move this process into new namespaces. Raises OSError."""
    _checked(_libc().unshare(ctypes.c_int(flags)))


_CAPABILITY_VERSION_3 = 0x20080522


def has_capability(bit: int) -> bool:
    """Say whether a capability is in effect (``linux/capability.h``)."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    sets = ctypes.create_string_buffer(24)
    _checked(_libc().capget(header, sets))
    return bool(struct.unpack_from("=I", sets.raw, 12 * (bit // 32))[0] >> bit % 32 & 1)


def drop_capabilities() -> None:
    """Empty all sets of capabilities of this thread."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    _checked(_libc().capset(header, ctypes.create_string_buffer(24)))


def install(code: bytes) -> None:
    """Filter the system calls of all threads of this process from now on. Raises OSError.

    Needs ``no_new_privileges`` before. A thread with a filter of its own cannot be brought along: an error as well.
    """
    instructions = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: a length, padding, a pointer.
    head = struct.pack("@HP", len(code) // 8, ctypes.addressof(instructions))
    thread = _call(
        "seccomp",
        _SECCOMP_SET_MODE_FILTER,
        _SECCOMP_FILTER_FLAG_TSYNC,
        ctypes.create_string_buffer(head, len(head)),
    )
    if thread:
        raise OSError(errno.EBUSY, f"thread {thread} has a filter of its own")


# ── Landlock ──────────────────────────────────────────────────────────────────────────────────
EXEC_FILE = 1 << 0 | 1 << 2
"""Execute and read a file."""
READ = 1 << 2 | 1 << 3
"""Read files and folders."""
READ_WRITE_FILE = 1 << 1 | 1 << 2
_OF_FILES = 0b1100000000000111  # Execute, write, read; truncate and ioctl of later versions.
# Rights over files by version of the interface: 13 at first; then moving between folders, truncating, and
# commands to devices. Networking (binding and connecting by TCP) since 4, scopes (abstract unix sockets and
# signals to processes outside) since 6, and all threads at once since 8.
_RIGHTS = (0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1)
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH, _RESTRICT_SELF_TSYNC = 1, 1, 1 << 3
_NETWORK_SINCE, _SCOPES_SINCE, _ALL_THREADS_SINCE = 4, 6, 8


@functools.cache
def landlock_abi() -> int:
    """Return the version of Landlock's interface that the kernel offers and allows; 0 for none."""
    try:
        return _call("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def restrict_files(allowed: Mapping[str, int]) -> bool:
    """Refuse every file but those beneath ``allowed`` paths (path: rights), TCP, and signals to processes outside.

    Paths that are not there are passed over. Returns whether all threads are covered: kernels before version 8 of
    the interface cover the calling thread and those that it starts. Raises OSError where there is no Landlock.
    """
    abi = landlock_abi()
    if not abi:
        raise OSError(errno.ENOSYS, "no Landlock")
    covers_all = abi >= _ALL_THREADS_SINCE or len(list(Path("/proc/self/task").iterdir())) == 1
    rights = _RIGHTS[min(abi, len(_RIGHTS) - 1)]
    attributes = struct.pack("=Q", rights)
    if abi >= _NETWORK_SINCE:
        attributes += struct.pack("=Q", 0b11)
    if abi >= _SCOPES_SINCE:
        attributes += struct.pack("=Q", 0b11)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = _call("landlock_create_ruleset", buffer, len(attributes), 0)
    try:
        for path, wanted in allowed.items():
            _allow(ruleset, path, wanted & rights)
        flags = _RESTRICT_SELF_TSYNC if abi >= _ALL_THREADS_SINCE else 0
        _call("landlock_restrict_self", ruleset, flags)
    finally:
        os.close(ruleset)
    return covers_all


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not Path(path).is_dir():
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, place)  # Packed: 12 bytes.
        buffer = ctypes.create_string_buffer(rule, len(rule))
        _call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, buffer, 0)
    finally:
        os.close(place)
