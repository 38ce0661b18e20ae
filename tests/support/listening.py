"""Run a Python script and write down whom it asks: by name, by address, in Python or below it.

    python -m tests.support.listening ASKED.json SCRIPT.py ARGUMENT...

Python's own questions are seen by an audit hook, in every Python process of the script. Where
this one is alone in a network (`unshare --map-root-user --net --mount`), what libraries ask from
below Python is seen too: names by a name server of ours, addresses by the kernel, which counts
what it has no way for. Loopback is no question.
"""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.support.project import ROOT

HOOK = """
import os, sys
def hear(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyname_ex"):
        asked = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        asked = address[0] if isinstance(address, tuple) else None
    else:
        return
    asked = asked.decode() if isinstance(asked, bytes) else asked
    if asked and asked not in ("localhost", "0.0.0.0", "::", "::1") and asked[:4] != "127.":
        with open({place!r}, "a") as file:
            file.write(f"{{event}} {{asked}}\\n")
sys.addaudithook(hear)
"""
"""What Python runs first (sitecustomize.py)."""

IFF_UP, SIOCSIFFLAGS = 1, 0x8914


def start_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def answer_names(server: socket.socket, names: set[str]) -> None:
    """Say of every name that it does not exist, and keep it."""
    while True:
        query, client = server.recvfrom(4096)
        labels, place = [], 12
        while length := query[place]:
            labels.append(query[place + 1 : place + 1 + length].decode(errors="replace"))
            place += 1 + length
        names.add(".".join(labels))
        header = query[:2] + b"\x81\x83" + query[4:6] + bytes(6)
        server.sendto(header + query[12 : place + 5], client)


def use_our_name_server(folder: Path) -> set[str]:
    """Let this mount namespace ask 127.0.0.1 for names; returns those that will be asked."""
    names: set[str] = set()
    for place, text in (
        ("/etc/resolv.conf", "nameserver 127.0.0.1\n"),
        ("/etc/nsswitch.conf", "hosts: files dns\n"),
    ):
        ours = folder / Path(place).name
        ours.write_text(text)
        subprocess.run(["mount", "--bind", ours, Path(place).resolve()], check=True)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    threading.Thread(target=answer_names, args=(server, names), daemon=True).start()
    return names


def packets_without_a_way() -> int:
    """How often the kernel was asked for an address that is not of this machine."""
    [ip] = [
        line.split()
        for line in Path("/proc/net/snmp").read_text().splitlines()
        if line[:3] == "Ip:"
    ][1:]
    titles = Path("/proc/net/snmp").read_text().splitlines()[0].split()
    lines = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return int(ip[titles.index("OutNoRoutes")]) + int(lines.get("Ip6OutNoRoutes", 0))


def main(asked: Path, *script: str) -> int:
    alone = [name for _, name in socket.if_nameindex()] == ["lo"]
    with tempfile.TemporaryDirectory() as folder:
        heard = Path(folder, "heard")
        heard.touch()
        Path(folder, "sitecustomize.py").write_text(HOOK.format(place=str(heard)))
        names: set[str] = set()
        if alone:
            start_loopback()
            names = use_our_name_server(Path(folder))
        path = os.pathsep.join([folder, str(ROOT)])
        done = subprocess.run([sys.executable, *script], env={**os.environ, "PYTHONPATH": path})
        report = {
            "alone": alone,
            "in_python": sorted(set(heard.read_text().splitlines())),
            "names": sorted(names),
            "packets": packets_without_a_way() if alone else 0,
        }
    asked.write_text(json.dumps(report))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
