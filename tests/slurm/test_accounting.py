"""The cluster with slurmdbd: jobs are told of after they are gone, and it can be turned off under them."""

from __future__ import annotations

import pytest

from tests.slurm.cluster.cluster import Cluster
from tests.slurm.cluster.packages import missing_packages
from tests.slurm.cluster.processes import wait_until

pytestmark = pytest.mark.slow


def test_accounting_tells_of_a_job_and_can_be_turned_off(cluster: Cluster) -> None:
    if missing := missing_packages(accounting=True):
        pytest.skip(f"missing Debian packages: {' '.join(missing)}")
    cluster.set_accounting(True)
    job = cluster.submit("exit 3")
    cluster.wait_for(job)
    said = ("sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State,ExitCode", f"--jobs={job}")
    wait_until("sacct tells of it", lambda: cluster.run(*said) == f"{job}|FAILED|3:0", 20)
    cluster.set_accounting(False)
    with pytest.raises(RuntimeError, match="accounting storage is disabled"):
        cluster.run(*said)
    assert cluster.state(job) == "FAILED"
