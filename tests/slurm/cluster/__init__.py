"""A real SLURM on one machine: munge, slurmctld, four virtual nodes of eight fake GPUs; slurmdbd and MariaDB on demand.

By hand, as root, from the top of the checkout::

    python -m tests.slurm.cluster install [--accounting]              # by apt, what is missing
    python -m tests.slurm.cluster up --folder /tmp/cluster [--accounting]
    . /tmp/cluster/environment        # SLURM_CONF and PATH: sbatch, squeue, scontrol now speak to it
    python -m tests.slurm.cluster down --folder /tmp/cluster

``up`` does nothing where everything runs already. Everything but a line in ``/etc/hosts`` lies in the folder; only the
loopback device is listened on. ``down`` ends what it finds recorded in the
folder, and nothing else; ``down --keep`` leaves the state there, and the next ``up`` goes on with the jobs.

In tests: the fixture ``cluster`` (``tests/slurm/conftest.py``) gives a :class:`~tests.slurm.cluster.cluster.Cluster`,
whose methods also break it: ``kill_node``, ``kill_controller``, ``wipe``, ``drain``, ``let_time_run_out``... After each
test it is healed: all jobs are cancelled, and daemons, nodes and settings are as they were.

Partitions:

========  =============================================================================================================
main      the default. Two jobs at a time over the whole cluster, whatever they ask for, and one thread each.
many      the same nodes without that limit, for jobs that do nothing.
high      preempts all others (they are requeued); without the limit, since preemption gives no licence back.
low       is preempted by all others.
short     a time limit of one minute.
closed    down: takes jobs and never starts them.
========  =============================================================================================================

The limit of two is a licence ``work:2``, of which ``job_submit.lua`` adds one to every job that names none and goes to
neither ``many`` nor ``high``. ``Cluster.set_at_a_time`` changes it.
"""
