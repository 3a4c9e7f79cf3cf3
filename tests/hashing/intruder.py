"""What a decoder that was taken over would try, as lines of Python that run inside of it.

``attempts`` names them; ``in_the_decoder`` runs each in a process of its own that went through the decoder's own
start, confinement and reading of a request; ``first_files`` has real files decoded there. Run as a program, which
prints what came of each.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import tempfile
from collections.abc import Callable
from typing import Any, NoReturn

# Everything that an attempt needs is imported before the confinement: afterwards nothing can be.
MODULES = "import ctypes, errno, mmap, os, signal, socket, threading"

LIBRARY = """
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def call(name, *arguments):
    if libc[name](*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def numbered(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *[ctypes.c_long(each) for each in arguments]) < 0:
        raise OSError(ctypes.get_errno(), str(number))

def in_a_thread(what):
    thread = threading.Thread(target=what)
    thread.start()
    thread.join()
"""


def attempts(
    *, victim: int, secrets: dict[str, str], unix: str, port: int, new: str
) -> dict[str, str]:
    """Return statements by what they try.

    ``victim`` is a process to read, trace and signal; ``secrets`` are files by what they are; ``unix`` and ``port`` are
    listening sockets; ``new`` is a file that is not there.
    """
    machine = os.uname().machine
    io_uring, bpf = 425, {"x86_64": 321, "aarch64": 280}[machine]
    process_vm_readv = {"x86_64": 310, "aarch64": 270}[machine]
    tgkill = {"x86_64": 234, "aarch64": 131}[machine]
    found = {f"read the {what}": f"open({path!r}, 'rb').read()" for what, path in secrets.items()}
    found |= {
        "read the environment of another process": f"open('/proc/{victim}/environ', 'rb').read()",
        "read the memory of another process": f"open('/proc/{victim}/mem', 'rb')",
        "read its own memory map": "open('/proc/self/maps').read()",
        "list a folder": "os.listdir('/')",
        "ask whether a file is there": "os.stat('/etc/passwd')",
        "write a file": f"os.open({new!r}, os.O_CREAT | os.O_WRONLY)",
        "make a folder": f"os.mkdir({new!r})",
        "open a file in a thread": "in_a_thread(lambda: open('/etc/passwd').read())",
        "make a file in memory": "os.memfd_create('x')",
        "connect by TCP": f"socket.create_connection(('127.0.0.1', {port}), 1)",
        "listen by TCP": "socket.create_server(('127.0.0.1', 0))",
        "bind a UDP port": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(('127.0.0.1', 0))",
        "connect to a unix socket": f"socket.socket(socket.AF_UNIX).connect({unix!r})",
        "open a netlink socket": "socket.socket(16, socket.SOCK_RAW, 0)",
        "make a pair of sockets": "socket.socketpair()",
        "become another program": "os.execv('/bin/true', ['true'])",
        "start a program": "os.posix_spawn('/bin/true', ['true'], {})",
        "fork": "os.fork()",
        "trace another process": f"call('ptrace', 16, {victim}, 0, 0)",
        "signal another process": f"os.kill({victim}, 0)",
        "signal a thread of another process": f"numbered({tgkill}, {victim}, {victim}, 0)",
        "signal everybody": "os.kill(-1, 0)",
        "hold another process": f"os.pidfd_open({victim})",
        "read from another process": f"numbered({process_vm_readv}, {victim}, 0, 0, 0, 0, 0)",
        "use io_uring": f"numbered({io_uring}, 1, 0)",
        "load a program into the kernel": f"numbered({bpf}, 0, 0, 0)",
        "make executable memory": "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
        "enter new namespaces": "call('unshare', 0x10000000)",
        "be readable again": "call('prctl', 4, 1, 0, 0, 0)",
        "lift the limits of another process": f"call('prlimit', {victim}, 7, None, None)",
    }
    if machine == "x86_64":
        found["open a file by an x32 call"] = "numbered(0x40000002, 0, 0, 0)"
    return found


def outcome(status: int) -> str:
    """Return what came of an attempt, from the wait status of its process."""
    if os.WIFSIGNALED(status):
        return (
            "stopped" if os.WTERMSIG(status) == signal.SIGSYS else f"signal {os.WTERMSIG(status)}"
        )
    return {0: "reached", 7: "refused"}.get(os.WEXITSTATUS(status), f"status {status}")


def tries(statement: str) -> Callable[..., None]:
    """Return a function that runs a statement and ends its process with what came of it."""
    names: dict[str, Any] = {}
    exec(f"{MODULES}\n{LIBRARY}", names)  # noqa: S102 — our own text
    code = compile(statement, "attempt", "exec")

    def run(*_: object) -> None:
        try:
            exec(code, names)  # noqa: S102 — our own text
        except OSError:
            os._exit(7)
        except BaseException:  # noqa: BLE001
            os._exit(9)
        os._exit(0)

    return run


def in_the_decoder(statements: dict[str, str], *, is_video: bool) -> dict[str, str]:
    """Return what came of each statement when it ran where the decoder decodes."""
    from hashing import confinement, decoder

    gaps = confinement.begin()
    decoder._prepare()
    found = {}
    for name, statement in statements.items():
        attempt = tries(statement)
        child = os.fork()
        if not child:
            decoder._send_picture = decoder._send_video = attempt
            _serve(b"any", gaps, os.open(os.devnull, os.O_WRONLY), is_video=is_video)
        found[name] = outcome(os.waitpid(child, 0)[1])
    return found


def first_files(paths: dict[str, str]) -> dict[str, str]:
    """Return what a decoder that has seen no file yet answers to each: its last word and what came of it."""
    from hashing import confinement, decoder

    gaps = confinement.begin()
    decoder._prepare()
    found = {}
    for name, path in paths.items():
        with open(path, "rb") as file:  # noqa: PTH123
            data = file.read()
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            _serve(data, gaps, writing, is_video=name.startswith("video"))
        os.close(writing)
        said = b""
        while piece := os.read(reading, 1 << 16):
            said += piece
        os.close(reading)
        kinds = []
        while said:
            kind, length = decoder.MESSAGE.unpack_from(said)
            kinds.append(kind.decode())
            said = said[decoder.MESSAGE.size + length :]
        found[name] = f"{outcome(os.waitpid(child, 0)[1])} {kinds[-1]}"
    return found


def _serve(data: bytes, gaps: list[Any], answers: int, *, is_video: bool) -> NoReturn:
    """Become a decoder with one request in its input."""
    from hashing import decoder

    wishes = {
        "pixels": 10_000_000, "frames": 4, "frames_walked": 1000, "seconds": 10.0, "memory": 1 << 30,
        "algorithms": ["pdq"], "with_pixels": False, "is_video": is_video, "every": 1.0, "longest": 60.0,
    }  # fmt: skip
    said = json.dumps(wishes).encode()
    with tempfile.TemporaryFile() as given:
        given.write(struct.pack(">II", len(said), len(data)) + said + data)
        given.seek(0)
        os.dup2(given.fileno(), 0)
    os.dup2(answers, 1)
    decoder.serve(list(gaps))


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    if "files" in asked:
        print(json.dumps(first_files(asked["files"])))
    else:
        print(json.dumps(in_the_decoder(asked["statements"], is_video=asked["is_video"])))
