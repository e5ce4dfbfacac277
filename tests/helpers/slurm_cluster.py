"""A throw-away SLURM on this host: real daemons, several nodes, pretended GPUs, everything in one folder.

`python -m tests.helpers.slurm_cluster up FOLDER` starts one by hand and prints what to source; `down FOLDER` stops it.
Debian's packages are enough and root is not needed: authentication and credentials are switched off, so that the
cluster trusts whoever reaches its ports. It is for tests, not for a machine that others can reach.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import processes

DAEMONS = ("slurmctld", "slurmd")
ACCOUNTING_DAEMONS = ("slurmdbd", "mariadbd", "mariadb-install-db")
CLIENTS = "srun sbatch squeue scancel scontrol sinfo sacct sacctmgr sshare".split()
ANSWER_S = 5.0
"""A client that finds no daemon blocks for ever, so each question has a time limit."""

PARTITIONS = (
    "PartitionName=main Default=YES PriorityTier=1",
    "PartitionName=spare PriorityTier=1 PreemptMode=CANCEL",
    "PartitionName=urgent PriorityTier=10",
)

GPU_FILES = ("/dev/null", "/dev/zero", "/dev/full")
"""SLURM counts a GPU only if it has a device file; any character device will do."""


class ClusterError(RuntimeError):
    """A daemon did not come up or did not go down."""


def missing_programs(accounting: bool) -> list[str]:
    """Daemons that are not installed."""
    wanted = (*DAEMONS, "sbatch", *(ACCOUNTING_DAEMONS if accounting else ()))
    return [name for name in wanted if shutil.which(name, path=search_path()) is None]


def search_path() -> str:
    """PATH with the folders where Debian keeps daemons."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@dataclass
class Cluster:
    """One cluster; `accounting` starts a database for sacct, as every large site has."""

    folder: Path
    nodes: int = 2
    cpus: int = 8
    memory_mb: int = 32000
    gpus: int = 2
    accounting: bool = True
    node_timeout_s: int = 10
    base_port: int = 0

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        for name in ("run", "log", "state", "spool", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "slurm.conf"
        remembered = self.folder / "port"
        if remembered.is_file():
            self.base_port = int(remembered.read_text())
        self.base_port = self.base_port or free_ports(self.nodes + 5)
        remembered.write_text(str(self.base_port))

    @property
    def node_names(self) -> list[str]:
        """node1, node2 ..."""
        return [f"node{i + 1}" for i in range(self.nodes)]

    @property
    def environment(self) -> dict[str, str]:
        """Environment of someone who is logged in to the cluster."""
        path = f"{self.folder / 'bin'}{os.pathsep}{search_path()}"
        return {**os.environ, "SLURM_CONF": str(self.config), "PATH": path}

    # Start and stop ---------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Start what does not run, in the order in which the daemons need each other, and wait for all nodes."""
        self._write_configuration()
        self._write_clients()
        if self.accounting:
            self._start_database()
        self.start_controller()
        for name in self.node_names:
            self.start_node(name)
        self._wait("all nodes idle", self._nodes_ready, 60)

    def down(self) -> None:
        """Cancel all jobs and stop all daemons; each is asked first and killed if it does not go."""
        if self._answers("scontrol", "ping"):
            self.client("scancel", f"--user={getpass.getuser()}", check=False)
            self._wait("the jobs to end", lambda: not self.client("squeue", "-h", check=False), 30, fatal=False)
        names = [path.stem for path in (self.folder / "run").glob("*.pid")]
        # Nodes first and the database last: each then still finds whom it reports to.
        for name in sorted(names, key=lambda n: ("slurmd.", "slurmctld", "slurmdbd", "mariadbd").index(_kind(n))):
            self._stop(name)

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.config))
        self._wait("slurmctld", lambda: "is UP" in self.client("scontrol", "ping", check=False), 30)

    def kill_controller(self) -> None:
        """kill -9 of slurmctld; jobs run on."""
        self._signal("slurmctld", signal.SIGKILL)

    def start_node(self, name: str) -> None:
        """Start a node's slurmd."""
        (self.folder / "spool" / name).mkdir(exist_ok=True)
        self._start(f"slurmd.{name}", "slurmd", "-D", "-N", name, "-f", str(self.config))

    def crash_node(self, name: str) -> int:
        """Like a power cut: slurmd, its step daemons and all processes of the node's jobs die at once.

        Returns the number of processes killed. Daemons are stopped first, else they would report the deaths of the jobs
        and the controller would see failed jobs on a healthy node.
        """
        log = str(self.folder / "log" / f"{name}.log")
        steps = [pid for pid in processes.pids() if processes.command(pid).startswith("slurmstepd")]
        daemons = [pid for pid in steps if log in processes.open_files(pid)]
        daemons += [pid for pid in [self._pid(f"slurmd.{name}")] if pid]
        for pid in daemons:
            processes.send(pid, signal.SIGSTOP)
        jobs = [pid for pid in processes.pids() if pid not in daemons and self._runs_on(pid, name)]
        for pid in [*jobs, *daemons]:
            processes.send(pid, signal.SIGKILL)
        (self.folder / "run" / f"slurmd.{name}.pid").unlink(missing_ok=True)
        return len(jobs) + len(daemons)

    def revive(self) -> None:
        """Bring everything up again after a fault, forget what was held against a node, and end what jobs are left."""
        self.up()
        # A test that failed may have left a job whose process is stopped, and the next one would wait for it.
        self.client("scancel", "--signal=KILL", "--full", f"--user={getpass.getuser()}", check=False)
        self._wait("the jobs of the test before to end", lambda: not self.client("squeue", "-h"), 60)

    # Questions --------------------------------------------------------------------------------------------------------

    def client(self, *command: str, check: bool = True, timeout: float = ANSWER_S) -> str:
        """Standard output of a client command."""
        try:
            done = subprocess.run(
                command, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            if check:
                raise
            return ""
        if check and done.returncode:
            raise ClusterError(f"{' '.join(command)} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def wait_for(self, what: str, ready: Callable[[], object], seconds: float = 120) -> None:
        """Wait until `ready()` is true."""
        self._wait(what, ready, seconds)

    def _answers(self, *command: str) -> bool:
        return "is UP" in self.client(*command, check=False)

    def _nodes_ready(self) -> bool:
        states = dict(
            line.split() for line in self.client("sinfo", "-h", "-N", "-o", "%N %T", check=False).splitlines()
        )
        for name, state in states.items():
            if state.rstrip("*").startswith(("down", "drain")):
                self.client("scontrol", "update", f"nodename={name}", "state=resume", check=False)
        return sum(state in ("idle", "mixed", "allocated", "completing") for state in states.values()) == self.nodes

    # Configuration ----------------------------------------------------------------------------------------------------

    def _write_configuration(self) -> None:
        folder, user = self.folder, getpass.getuser()
        gres = f" Gres=gpu:{self.gpus}" if self.gpus else ""
        nodes = [
            f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={self.base_port + 5 + i} "
            f"CPUs={self.cpus} RealMemory={self.memory_mb}{gres} State=UNKNOWN"
            for i, name in enumerate(self.node_names)
        ]
        accounting = (
            [
                "AccountingStorageType=accounting_storage/slurmdbd",
                "AccountingStorageHost=localhost",
                f"AccountingStoragePort={self.base_port + 2}",
                "AccountingStorageTRES=gres/gpu",
                "AccountingStoreFlags=job_comment",
            ]
            if self.accounting
            else ["AccountingStorageType=accounting_storage/none"]
        )
        self.config.write_text(
            "\n".join(
                [
                    "ClusterName=phenoloom",
                    "SlurmctldHost=localhost",
                    f"SlurmUser={user}",
                    f"SlurmdUser={user}",
                    f"SlurmctldPort={self.base_port}",
                    f"SlurmdPort={self.base_port + 1}",
                    f"SlurmctldPidFile={folder}/run/.slurmctld",
                    f"SlurmdPidFile={folder}/run/.slurmd.%n",
                    f"SlurmdSpoolDir={folder}/spool/%n",
                    f"StateSaveLocation={folder}/state",
                    f"SlurmctldLogFile={folder}/log/slurmctld.log",
                    f"SlurmdLogFile={folder}/log/%n.log",
                    "AuthType=auth/none",
                    "CredType=cred/none",
                    "MailProg=/bin/true",
                    "MpiDefault=none",
                    # Processes are followed by their parents and memory is polled: no cgroups are needed.
                    "ProctrackType=proctrack/linuxproc",
                    "TaskPlugin=task/none",
                    "JobAcctGatherType=jobacct_gather/linux",
                    "JobAcctGatherFrequency=task=1",
                    "JobAcctGatherParams=OverMemoryKill",
                    # Node names do not resolve here; processes of one training meet on this host.
                    f"TaskProlog={folder}/bin/task-prolog",
                    "SelectType=select/cons_tres",
                    "SelectTypeParameters=CR_CPU_Memory",
                    "GresTypes=gpu",
                    # Nodes have as many cores and as much memory as they say, whatever this host has.
                    "SlurmdParameters=config_overrides",
                    "ReturnToService=2",
                    f"SlurmdTimeout={self.node_timeout_s}",
                    "SlurmctldTimeout=30",
                    "KillWait=10",
                    "MinJobAge=3600",
                    "SchedulerParameters=bf_interval=2,sched_interval=2,sched_min_interval=0",
                    *accounting,
                    *nodes,
                    # Jobs of `urgent` take the place of others, which their partition requeues or cancels.
                    "PreemptType=preempt/partition_prio",
                    "PreemptMode=REQUEUE",
                    *(f"{line} Nodes=ALL DefMemPerCPU={self.memory_mb // self.cpus} State=UP" for line in PARTITIONS),
                    "",
                ]
            )
        )
        (folder / "cgroup.conf").write_text("\n")
        (folder / "gres.conf").write_text(
            "".join(
                f"NodeName={name} Name=gpu File={GPU_FILES[i]}\n" for name in self.node_names for i in range(self.gpus)
            )
        )

    def _write_clients(self) -> None:
        """Client commands that know where the configuration is: the plugin drops SLURM_CONF inside jobs."""
        wrapper = self.folder / "bin" / ".client"
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.config}\nexport SLURM_CONF\nexec /usr/bin/"${{0##*/}}" "$@"\n')
        prolog = self.folder / "bin" / "task-prolog"
        prolog.write_text("#!/bin/sh\necho export MASTER_ADDR=127.0.0.1\necho export GLOO_SOCKET_IFNAME=lo\n")
        for script in (wrapper, prolog):
            script.chmod(0o755)
        for name in CLIENTS:
            link = self.folder / "bin" / name
            if not self.accounting and name in ("sacct", "sacctmgr", "sshare"):
                continue
            if not link.is_symlink() and Path("/usr/bin", name).exists():
                link.symlink_to(wrapper.name)

    def _start_database(self) -> None:
        folder, port, sock = self.folder, self.base_port + 3, self.folder / "run" / "mysql.sock"
        data = folder / "mysql"
        if not (data / "mysql").is_dir():
            self._run(
                "mariadb-install-db",
                "--no-defaults",
                f"--user={getpass.getuser()}",
                f"--datadir={data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            )
        self._start(
            "mariadbd",
            "mariadbd",
            "--no-defaults",
            f"--user={getpass.getuser()}",
            f"--datadir={data}",
            f"--socket={sock}",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--pid-file={folder}/run/.mariadbd",
            "--innodb-buffer-pool-size=64M",
            "--innodb-lock-wait-timeout=900",
            "--innodb-flush-log-at-trx-commit=0",
        )
        query = ["mariadb", "--no-defaults", "-S", str(sock), "-u", "root", "-e"]
        self._wait("mariadbd", lambda: self._succeeds(*query, "select 1"), 60)
        self._run(
            *query,
            "create database if not exists slurm_acct_db;"
            "create user if not exists slurm@'127.0.0.1' identified by 'slurm';"
            "create user if not exists slurm@localhost identified by 'slurm';"
            "grant all on slurm_acct_db.* to slurm@'127.0.0.1'; grant all on slurm_acct_db.* to slurm@localhost;",
        )
        database = folder / "slurmdbd.conf"
        database.touch(mode=0o600)
        database.write_text(
            f"DbdHost=localhost\nDbdPort={self.base_port + 2}\nSlurmUser={getpass.getuser()}\nAuthType=auth/none\n"
            f"LogFile={folder}/log/slurmdbd.log\nPidFile={folder}/run/.slurmdbd\nStorageType=accounting_storage/mysql\n"
            f"StorageHost=127.0.0.1\nStoragePort={port}\nStorageUser=slurm\nStoragePass=slurm\nStorageLoc=slurm_acct_db\n"
        )
        self._start("slurmdbd", "slurmdbd", "-D")
        self._wait("slurmdbd", lambda: self._succeeds("sacctmgr", "-n", "show", "cluster"), 90)
        if "phenoloom" not in self.client("sacctmgr", "-n", "show", "cluster", "format=cluster"):
            self.client("sacctmgr", "-i", "add", "cluster", "phenoloom", timeout=30)

    # Processes --------------------------------------------------------------------------------------------------------

    def _start(self, name: str, *command: str) -> None:
        if self._pid(name):
            return
        environment = {"HOME": str(self.folder), "LANG": "C.UTF-8"}
        environment |= {key: self.environment[key] for key in ("PATH", "SLURM_CONF")}
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            started = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        (self.folder / "run" / f"{name}.pid").write_text(str(started.pid))

    def _pid(self, name: str) -> int | None:
        """The daemon's process, if it lives and still is that daemon."""
        path = self.folder / "run" / f"{name}.pid"
        pid = int(path.read_text()) if path.is_file() else 0
        processes.reap(pid)
        return pid if pid and processes.command(pid).startswith(_kind(name).rstrip(".")[:15]) else None

    def _signal(self, name: str, number: int) -> None:
        pid = self._pid(name)
        if pid:
            processes.send(pid, number)
            self._wait(f"{name} to end", lambda: self._pid(name) is None, 30)

    def _stop(self, name: str) -> None:
        pid = self._pid(name)
        if pid:
            processes.send(pid, signal.SIGTERM)
            if not self._wait(f"{name} to stop", lambda: self._pid(name) is None, 15, fatal=False):
                processes.send(pid, signal.SIGKILL)
        (self.folder / "run" / f"{name}.pid").unlink(missing_ok=True)

    def _runs_on(self, pid: int, node: str) -> bool:
        entries, ours = processes.environment(pid), str(self.folder / "bin").encode()
        return f"SLURMD_NODENAME={node}".encode() in entries and any(ours in entry for entry in entries)

    def _succeeds(self, *command: str) -> bool:
        try:
            done = subprocess.run(command, env=self.environment, capture_output=True, timeout=ANSWER_S, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise ClusterError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")

    def _wait(self, what: str, ready: Callable[[], object], seconds: float, fatal: bool = True) -> bool:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                if fatal:
                    raise ClusterError(f"waited {seconds:.0f} s for {what}; see {self.folder / 'log'}")
                return False
            time.sleep(0.1)
        return True


def free_ports(count: int) -> int:
    """First of `count` neighbouring ports that nobody listens on."""
    for base in range(46000, 60000, 50):
        try:
            for port in range(base, base + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise ClusterError(f"no {count} free neighbouring ports between 46000 and 60000")


def _kind(name: str) -> str:
    return "slurmd." if name.startswith("slurmd.") else name


def main(arguments: Sequence[str] | None = None) -> None:
    """Start or stop a cluster by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["up", "down"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--no-accounting", action="store_true")
    options = parser.parse_args(arguments)
    cluster = Cluster(options.folder, nodes=options.nodes, accounting=not options.no_accounting)
    if options.action == "down":
        cluster.down()
        return
    missing = missing_programs(cluster.accounting)
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}; `make slurm` installs Debian's packages")
    cluster.up()
    print(f"export SLURM_CONF={cluster.config} PATH={cluster.folder / 'bin'}:$PATH")


if __name__ == "__main__":
    main()
