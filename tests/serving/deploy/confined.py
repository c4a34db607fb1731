"""Run a command under what a systemd unit filters and denies, without systemd: python confined.py UNIT COMMAND …

Its system calls are filtered by libseccomp, as systemd's are; MemoryDenyWriteExecute is the kernel's own
(PR_SET_MDWE, Linux 6.3). What it needs to start (execve) is among the calls of a service.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_ALLOW, _EPERM = 0x7FFF0000, 0x00050001
_PR_SET_MDWE, _REFUSE_EXEC_GAIN = 65, 1


def unit(path):
    """Section and key to all values of a unit file, as there may be several."""
    values = {}
    section = ""
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values.setdefault((section, key), []).append(value)
    return values


def members(name):
    """The system calls of a set of systemd's, or the call itself."""
    if not name.startswith("@"):
        return {name}
    command = ["systemd-analyze", "syscall-filter", name]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[1:]
    return {call for line in lines if not line.strip().startswith("#") for call in members(line.strip())}


def allowed(filters):
    """The calls that a unit's lines of SystemCallFilter let pass; the first names calls that do, ~ takes some away."""
    calls = members("@default")
    for line in filters:
        named = {call for name in line.removeprefix("~").split() for call in members(name)}
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def confine(path):
    """Confine this process, and all that it starts."""
    service = {key: values for (section, key), values in unit(path).items() if section == "Service"}
    calls = allowed(service["SystemCallFilter"])
    libc = ctypes.CDLL(None, use_errno=True)
    if service["MemoryDenyWriteExecute"] == ["yes"] and libc.prctl(_PR_SET_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_MDWE")
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(_EPERM)))
    for call in calls:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # others are those of other processors
            seccomp.seccomp_rule_add(context, ctypes.c_uint32(_ALLOW), number, 0)
    if error := seccomp.seccomp_load(context):
        raise OSError(-error, "seccomp_load")


if __name__ == "__main__":
    confine(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
