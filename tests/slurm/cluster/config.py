"""The cluster's configuration files."""

from __future__ import annotations

import dataclasses
import os
import socket
import stat
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Shape:
    """What the cluster looks like; believed by SLURM whatever the machine has.

    Args:
        nodes: Virtual nodes, ``n1`` on.
        cpus: CPUs of a node.
        gpus: Fake GPUs of a node.
        memory: Of a node, in MB.
        at_a_time: Jobs of the default partition that run at once.
        array_limit: MaxArraySize: indices are below it.
        port: slurmctld listens there, slurmdbd and MariaDB on the next two, the nodes' slurmd from ten on.
    """

    nodes: int = 4
    cpus: int = 16
    gpus: int = 8
    memory: int = 64000
    at_a_time: int = 2
    array_limit: int = 1001
    port: int = 17800

    @property
    def names(self) -> list[str]:
        return [f"n{number}" for number in range(1, self.nodes + 1)]


SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPidFile={folder}/pid/slurmctld.pid
SlurmdPidFile={folder}/pid/slurmd-%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmctldDebug=info
SlurmdDebug=info
# Neither cgroups nor systemd: runs in a container or a small virtual machine.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/etc/one_thread
SwitchType=switch/none
MpiDefault=none
# Believe the numbers below, not the machine.
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters={scheduler}
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{preempt_signal}
JobRequeue=1
JobSubmitPlugins=lua
Licenses=work:{at_a_time}
MaxArraySize={array_limit}
MaxJobCount=50000
MinJobAge=900
# Faults are noticed in seconds rather than minutes.
SlurmctldTimeout=10
SlurmdTimeout=15
KillWait=3
OverTimeLimit=0
WaitTime=0
InactiveLimit=0
CompleteWait=0
MessageTimeout=10
UnkillableStepTimeout=30
GresTypes=gpu
DefMemPerCPU=100
{accounting}
NodeName=DEFAULT CPUs={cpus} CoresPerSocket={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
{nodes}
PartitionName=DEFAULT Nodes=ALL MaxTime=UNLIMITED DefaultTime=10 PriorityTier=10 State=UP GraceTime=5
PartitionName=main Default=YES
PartitionName=many
PartitionName=high PriorityTier=100 PreemptMode=OFF
PartitionName=low PriorityTier=1
PartitionName=short MaxTime=1 DefaultTime=1
PartitionName=closed State=DOWN
"""

# A round every two seconds, over all jobs that wait.
SCHEDULER = (
    "sched_interval=2",
    "bf_interval=2",
    "sched_min_interval=100000",
    "batch_sched_delay=0",
    "default_queue_depth=1000",
    "bf_max_job_test=1000",
    "bf_continue",
)

WITH_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge/socket
AccountingStorageTRES=gres/gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5"""

WITHOUT_ACCOUNTING = """\
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none"""

# slurmctld calls this for every job that is submitted. A nil partition is the default one.
JOB_SUBMIT_LUA = """\
function slurm_job_submit(job, partitions, user)
    local free = job.partition == "many" or job.partition == "high"
    if not free and (job.licenses == nil or job.licenses == "") then
        job.licenses = "work:1"
    end
    return slurm.SUCCESS
end

function slurm_job_modify(job, record, partitions, modifier, user)
    return slurm.SUCCESS
end

return slurm.SUCCESS
"""

# What a task prolog prints goes into the environment of the task (slurm.conf(5), TaskProlog).
ONE_THREAD = """\
#!/bin/sh
echo export OMP_NUM_THREADS=1
echo export MKL_NUM_THREADS=1
echo export OPENBLAS_NUM_THREADS=1
"""

SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
CommunicationParameters=NoInAddrAny
SlurmUser=root
PidFile={folder}/pid/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
DebugLevel=info
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql_port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct
"""


def _gpu_devices(folder: Path, count: int) -> str:
    """Fake GPUs for ``gres.conf``: SLURM wants character devices, and the numbers of ``/dev/null`` are good enough."""
    devices = folder / "dev"
    devices.mkdir(exist_ok=True)
    try:
        for number in range(count):
            path = devices / f"gpu{number}"
            if not path.exists():
                os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except OSError:
        # A container may forbid it. Jobs then get no CUDA_VISIBLE_DEVICES.
        return f"Count={count}"
    return f"File={devices}/gpu[0-{count - 1}]"


def write_slurm_files(folder: Path, shape: Shape, accounting: bool, preempt_signal: bool) -> None:
    """Writes ``slurm.conf`` and what stands beside it into ``folder/etc``.

    Args:
        folder: The cluster's folder.
        shape: What it looks like.
        accounting: Whether jobs are recorded by slurmdbd.
        preempt_signal: Whether a preempted job gets the signal that it asked for.
    """
    etc = folder / "etc"
    host = socket.gethostname().partition(".")[0]
    values = {**dataclasses.asdict(shape), "folder": folder, "host": host}
    values["nodes"] = "\n".join(
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={shape.port + 10 + number}"
        for number, name in enumerate(shape.names)
    )
    values["accounting"] = (
        WITH_ACCOUNTING.format(folder=folder, port=shape.port + 1) if accounting else WITHOUT_ACCOUNTING
    )
    values["scheduler"] = ",".join(SCHEDULER)
    values["preempt_signal"] = "SlurmctldParameters=preempt_send_user_signal" if preempt_signal else ""
    (etc / "slurm.conf").write_text(SLURM_CONF.format(**values))
    (etc / "gres.conf").write_text(f"NodeName=n[1-{shape.nodes}] Name=gpu {_gpu_devices(folder, shape.gpus)}\n")
    (etc / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    (etc / "job_submit.lua").write_text(JOB_SUBMIT_LUA)
    prolog = etc / "one_thread"
    prolog.write_text(ONE_THREAD)
    prolog.chmod(0o755)


def write_slurmdbd_file(folder: Path, shape: Shape, password: str) -> None:
    """Writes ``slurmdbd.conf``, which slurmdbd reads only where nobody else can."""
    path = folder / "etc" / "slurmdbd.conf"
    host = socket.gethostname().partition(".")[0]
    path.touch(mode=0o600)
    path.write_text(
        SLURMDBD_CONF.format(folder=folder, host=host, port=shape.port + 1, sql_port=shape.port + 2, password=password)
    )
