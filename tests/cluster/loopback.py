"""A real SLURM on this machine: munge, slurmctld and a slurmd per node, on loopback, in a folder of their own.

    python tests/cluster/loopback.py start FOLDER     # then: export SLURM_CONF=FOLDER/slurm.conf
    python tests/cluster/loopback.py stop FOLDER

It installs nothing (Debian: apt-get install slurm-wlm munge), needs root, and changes nothing outside FOLDER.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel", "sinfo")
NODES, CPUS = 3, 1

# Queued again after seconds, not after two minutes (cred_expire); a killed step is noticed soon (SlurmdTimeout).
CONF = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
KillWait=15
MinJobAge=600
{nodes}
PartitionName=main Nodes={names} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def missing() -> list[str]:
    """What is not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]


def start(folder: Path) -> None:
    """Set the cluster up; returns when its nodes are ready."""
    if absent := missing():
        sys.exit(f"Not installed: {', '.join(absent)}. On Debian: apt-get install slurm-wlm munge")
    if os.geteuid():
        sys.exit("slurmd starts jobs as their users, which needs root.")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    folder.mkdir(parents=True)
    (folder / "state").mkdir()
    _munge(folder)
    host, ports = socket.gethostname(), _ports(NODES + 1)
    names = [f"node{index}" for index in range(NODES)]
    lines = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} RealMemory=1000 State=UNKNOWN"
        for name, port in zip(names, ports[1:], strict=True)
    ]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, ports=ports, folder=folder, nodes="\n".join(lines), names=",".join(names)))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    # Daemons outlive this process and belong to no terminal.
    _run(["slurmctld", "-f", str(conf)], environment)
    for name in names:
        _run(["slurmd", "-f", str(conf), "-N", name], environment)
    _wait_for_nodes(environment)


def stop(folder: Path) -> None:
    """Take the cluster down: jobs first, then daemons; each by the number that it wrote down."""
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(["scancel", "--me"], env=environment, check=False, timeout=20)
        deadline = time.monotonic() + 25
        while time.monotonic() < deadline and _output(["squeue", "--noheader"], environment):
            time.sleep(0.5)
    for file in [*folder.glob("slurmd-*.pid"), folder / "slurmctld.pid", folder / "munged.pid"]:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(file.read_text()), signal.SIGTERM)


def _munge(folder: Path) -> None:
    """Munge runs as root here, with a key of its own: the system's need not run."""
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    options = [f"--{name}={folder}/{file}" for name, file in _MUNGE.items()]
    _run(["munged", "--force", *options], dict(os.environ))


_MUNGE = {
    "key-file": "munge.key",
    "socket": "munge.socket",
    "pid-file": "munged.pid",
    "log-file": "munged.log",
    "seed-file": "munged.seed",
}


def _ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        sys.exit(f"{command[0]} ended with exit code {done.returncode}: {done.stdout}{done.stderr}")


def _output(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=20
    ).stdout.strip()


def _wait_for_nodes(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while _output(["sinfo", "--noheader", "--states=idle", "--format=%D"], environment) != str(NODES):
        if time.monotonic() > deadline:
            sys.exit(f"The nodes are not ready: {_output(['sinfo', '--Node'], environment)}")
        time.sleep(0.2)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in {"start", "stop"}:
        {"start": start, "stop": stop}[sys.argv[1]](Path(sys.argv[2]).absolute())
    else:
        sys.exit(__doc__)
