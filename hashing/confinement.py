"""The sandbox of every process that touches what strangers send: the decoder, plug-ins, programs of the system.

Three ways in, by what is confined:

* ``begin()`` and later ``confine()``: a Python process that confines itself. ``begin`` at its very start, then import,
  load and warm up everything, then ``confine``. From there on it can compute, read and write the pipes it has, and end.
* ``begin()``, ``confine_loading(paths)`` and later ``confine()``: the same for code that is not our own. While it
  loads it can read its own folders and those of the interpreter, and no more.
* ``hashing.confined_programs.run(…)``: a program of the system that cannot confine itself, in a process of its own.

What ``confine`` sets, each independent of the others:

* **a system call filter** (seccomp): a list of what is allowed, about fifty calls that concern memory, time and open
  pipes. Not on it: opening or looking up files, sockets, processes, programs, signals to others, tracing, new
  executable memory, io_uring, bpf, namespaces, keys. A call that is not on the list **ends the process** (SIGSYS), so
  a hostile file that gets that far becomes "stopped by the sandbox", never "no match". All threads are covered.
* **Landlock**: no file at all, no TCP, no signal to a process outside.
* **a network namespace** without any interface, where the kernel lets it have one.
* **a uid of its own**, without groups and capabilities, when started as root: one that no account and no other
  process has. Pipes that are open stay open; nothing else is handed over.
* ``no_new_privs``, no core dump, no file may grow, and not dumpable: no process of the same uid reads its memory.

What the machine does not offer comes back as ``Gap``s in words; nothing raises because of it. ``HOLDFAST_REQUIRE_SANDBOX``
is the parent's to obey: it refuses a child that reports a gap for which ``Gap.is_covered`` is false.

Imports only the standard library: everything else would be loaded into the processes that are confined.
"""

from __future__ import annotations

import contextlib
import errno
import json
import linecache
import os
import platform
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from hashing import confinement_kernel as kernel

__all__ = [
    "STOPPED_BY",
    "Gap",
    "as_json",
    "begin",
    "confine",
    "confine_loading",
    "enter_program",
    "from_json",
]

STOPPED_BY = signal.SIGSYS
"""The signal that a refused system call ends a confined process with."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something of the sandbox that this machine does not offer.

    ``sentence`` says to a person what is missing and what still holds. ``is_covered`` means that another part of
    the sandbox refuses the same things, so that it is worth knowing but no reason to refuse to start.
    """

    code: str
    sentence: str
    is_covered: bool = False


def as_json(gaps: Iterable[Gap]) -> str:
    """Return gaps as JSON, for the parent."""
    return json.dumps([asdict(each) for each in gaps])


def from_json(text: str | bytes) -> tuple[Gap, ...]:
    """Return gaps as their process told them. Raises ValueError for anything else: it is not trusted."""
    said = json.loads(text)
    if not isinstance(said, list) or len(said) > 20:
        raise ValueError("no list of gaps")
    try:
        return tuple(
            Gap(str(each["code"])[:40], str(each["sentence"])[:400], each["is_covered"] is True)
            for each in said
        )
    except (KeyError, TypeError):
        raise ValueError("no list of gaps") from None


_MACOS = (
    "This system is not Linux: the programs that decode files from strangers run under limits of memory, time and "
    "files, without a sandbox of the kernel. Do not let strangers send files to an installation here."
)


def begin() -> list[Gap]:
    """Take what has to be taken at the start of a process, before it has threads. Returns what cannot be had.

    The process can no longer be read by others of its uid, and loses the network.
    """
    gaps: list[Gap] = []
    if sys.platform != "linux":
        return gaps  # ``confine`` says so.
    kernel.set_dumpable(dumpable=False)
    # Without root a network namespace needs a user namespace around it. As root that would stand in the way of
    # a uid of its own, which is worth more.
    flags = kernel.CLONE_NEWNET if os.geteuid() == 0 else kernel.CLONE_NEWNET | kernel.CLONE_NEWUSER
    try:
        kernel.unshare(flags)
    except OSError as failed:
        gaps.append(
            Gap(
                "network",
                f"No network namespace can be had ({_why(failed)}): connections are refused by the system call "
                "filter alone.",
                is_covered=True,
            )
        )
    return gaps


def confine_loading(paths: Sequence[str]) -> list[Gap]:
    """Let foreign code load: read files beneath ``paths`` and the interpreter's, no sockets, no other processes.

    Returns what cannot be had. It still may start programs, which inherit all of this, since modules do so when
    they are imported; ``confine`` ends that.
    """
    if sys.platform != "linux":
        return []
    gaps = _privileges_given_up()
    allowed = dict.fromkeys((*_INTERPRETER, *_SYSTEM, *paths), kernel.READ)
    allowed |= dict.fromkeys(_PROGRAMS, kernel.READ | kernel.EXEC_FILE)
    allowed |= {os.devnull: kernel.READ_WRITE_FILE}
    gaps += _files_restricted(allowed)
    with contextlib.suppress(OSError):  # ``confine`` reports it.
        program = kernel.Program()
        program.add(_NEVER, kernel.deny(errno.EPERM))
        kernel.install(program.assembled(kernel.ALLOW))
    return gaps


def confine(*, dies_with_parent: bool = False) -> list[Gap]:
    """Confine this process with all its threads, for good. Returns what this machine does not offer.

    Call ``begin`` at the start of the process, and load everything before this: no module can be imported, no
    file read and no program started afterwards. The limits of the process (``RLIMIT_*``) stay the caller's, who
    may still lower them. ``dies_with_parent``: the kernel ends the process when the thread that started it ends.
    """
    _forget_sources()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform != "linux":
        return [Gap("platform", _MACOS)]
    gaps = _own_uid()
    gaps += _privileges_given_up(dies_with_parent=dies_with_parent)
    gaps += _files_restricted({})
    return gaps + _filtered(_of_computing)


def enter_program(program: str, readable: Iterable[str], interpreter: str) -> list[Gap]:
    """Confine this process so that it may become ``program`` by ``execve`` next. Returns what cannot be had.

    For ``hashing.confinement_launcher``. It may read beneath ``readable``, execute itself and its ``interpreter``
    (the dynamic loader), start threads, and use the files that are open; its other calls fail (EPERM), and those
    that reach for the network, other processes or the kernel end it.
    """
    if sys.platform != "linux":
        return [Gap("platform", _MACOS)]
    gaps = _own_uid()
    gaps += _privileges_given_up(dies_with_parent=True)
    allowed = dict.fromkeys(readable, kernel.READ)
    allowed |= dict.fromkeys((program, interpreter), kernel.EXEC_FILE)
    gaps += _files_restricted(allowed)
    return gaps + _filtered(_of_programs)


def _forget_sources() -> None:
    """Let nobody look for lines of source code any more: a warning or a traceback would end the process."""
    warnings.simplefilter("ignore")
    linecache.checkcache = lambda filename=None: None
    linecache.updatecache = lambda filename, module_globals=None: []


# ── A uid of its own ──────────────────────────────────────────────────────────────────────────
_FIRST_UID = 1_900_000_000
"""Beyond all ranges that distributions and systemd hand out (systemd.io/UIDS-GIDS), and below 2^31."""
_NOBODY = 65_534
_CAP_KILL = 5


def _own_uid() -> list[Gap]:
    if os.geteuid() != 0:
        return []
    try:
        if not kernel.has_capability(_CAP_KILL):
            raise PermissionError(errno.EPERM, "its parent, without CAP_KILL, could not end it")
        os.setgroups([])
        try:
            _become(_FIRST_UID + os.getpid())
        except OSError as failed:
            if failed.errno != errno.EINVAL:
                raise
            _become(_NOBODY)  # A container with few uids.
    except OSError as failed:
        return [
            Gap(
                "uid",
                "The workers run as root, and the programs that decode cannot change to a uid of their own "
                f"({_why(failed)}): run the workers as an account without rights.",
            )
        ]
    return []


def _become(uid: int) -> None:
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _privileges_given_up(*, dies_with_parent: bool = False) -> list[Gap]:
    kernel.set_dumpable(dumpable=False)  # A change of uid sets it anew.
    if dies_with_parent:  # A change of uid forgets it.
        kernel.set_death_signal(signal.SIGKILL)
    if os.geteuid() != 0:
        kernel.drop_capabilities()
    try:
        kernel.no_new_privileges()
    except OSError as failed:
        return [Gap("privileges", f"The kernel refuses no_new_privs ({_why(failed)}).")]
    return []


# ── Files ─────────────────────────────────────────────────────────────────────────────────────
_INTERPRETER = tuple(
    dict.fromkeys((sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix))
)
_SYSTEM = (
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system",
)
_PROGRAMS = ("/bin", "/usr/bin", "/sbin", "/usr/sbin")


def _files_restricted(allowed: dict[str, int]) -> list[Gap]:
    if not kernel.landlock_abi():
        return [
            Gap(
                "landlock",
                "The kernel has no Landlock, or the container does not allow it: files are kept from the decoder and "
                "plug-ins by the system call filter alone, and from programs such as a HEIC converter only by their uid.",
            )
        ]
    try:
        covers_all = kernel.restrict_files(allowed)
    except OSError as failed:
        return [Gap("landlock", f"Landlock cannot be set up ({_why(failed)}).")]
    if covers_all:
        return []
    return [
        Gap(
            "landlock_threads",
            "Landlock does not cover threads that were started before it: their files are kept away by the system "
            "call filter alone.",
            is_covered=True,
        )
    ]


# ── Calls ─────────────────────────────────────────────────────────────────────────────────────
_PROT_EXEC = 4
_PR_SET_NAME = 15
_COMPUTING = (
    "read", "readv", "write", "writev", "close", "lseek", "fstat", "poll", "ppoll", "select", "pselect6",
    "munmap", "mremap", "madvise", "brk", "futex", "membarrier",
    "rt_sigreturn", "rt_sigaction", "rt_sigprocmask", "sigaltstack", "restart_syscall",
    "exit", "exit_group", "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid",
    "getrandom", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    "times", "getrusage", "setitimer", "getitimer", "getrlimit", "setrlimit", "uname", "sysinfo", "getcpu",
    "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
    "set_robust_list", "get_robust_list", "rseq",
)  # fmt: skip
_NEVER = (
    "socket", "socketpair", "connect", "bind", "listen", "accept", "sendto", "sendmsg",
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kill", "tkill", "rt_sigqueueinfo",
    "rt_tgsigqueueinfo", "pidfd_open", "pidfd_send_signal", "pidfd_getfd",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open", "userfaultfd",
    "mount", "umount2", "chroot", "unshare", "setns", "open_by_handle_at", "init_module", "finit_module",
    "kexec_load", "add_key", "request_key", "keyctl",
)  # fmt: skip


def _shared() -> kernel.Program:
    """Return the rules of all filters, the frequent calls first."""
    program = kernel.Program()
    program.add(_COMPUTING)
    program.only_threads()
    program.only_values("prlimit64", 0, [0])  # Its own limits.
    program.only_values(
        "tgkill", 0, [os.getpid()]
    )  # How abort() ends a process; a pid survives execve.
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC: nothing that makes the kernel send signals.
    program.only_values("fcntl", 1, [0, 1, 2, 3, 1030], kernel.deny(errno.EPERM))
    program.only_values("prctl", 0, [_PR_SET_NAME], kernel.deny(errno.EPERM))
    program.add(["ioctl"], kernel.deny(errno.ENOTTY))
    # What OpenBLAS asks of where its threads and buffers lie.
    program.add(
        ["sched_setaffinity", "mbind", "set_mempolicy", "get_mempolicy"], kernel.deny(errno.EPERM)
    )
    return program


def _of_computing() -> bytes:
    program = _shared()
    program.unless_bits("mmap", 2, _PROT_EXEC)
    program.unless_bits("mprotect", 2, _PROT_EXEC)
    # What libraries ask in passing, and do without. They only ever name a file, or ask of one that is open.
    program.add(
        ["newfstatat", "statx", "access", "faccessat", "faccessat2"], kernel.deny(errno.EACCES)
    )
    return program.assembled(kernel.KILL)


def _of_programs() -> bytes:
    program = _shared()
    program.add(
        (
            "mmap", "mprotect", "open", "openat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat",
            "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd", "pread64", "pwrite64", "ftruncate",
            "fadvise64", "fdatasync", "dup", "dup2", "dup3", "umask", "set_tid_address", "arch_prctl",
            # Becoming the program. Landlock names the one file that can be executed; what is executed inherits
            # everything that is set here.
            "execve",
        )
    )  # fmt: skip
    program.add((*_NEVER, "fork", "vfork", "execveat"), kernel.KILL)
    return program.assembled(kernel.deny(errno.EPERM))


def _filtered(rules: Callable[[], bytes]) -> list[Gap]:
    if kernel.machine() is None:
        return [
            Gap(
                "machine",
                f"The system call filter is written for x86_64 and aarch64, not for {platform.machine()}: the "
                "programs that decode run without one.",
            )
        ]
    try:
        kernel.install(rules())
    except OSError as failed:
        return [
            Gap(
                "seccomp",
                f"The kernel or the container refuses a system call filter ({_why(failed)}): a decoder that is taken "
                "over could open files and connections.",
            )
        ]
    return []


def _why(failed: OSError) -> str:
    return failed.strerror or type(failed).__name__
