"""Data that only compute nodes see: the run is planned on one, and a command may bring the data there."""

from __future__ import annotations

from tests.slurm.world import ClusterWorld

VARIABLE = "$DATA_OF_THE_NODE"


def settle(here: ClusterWorld, **settings: object) -> None:
    here.settle(environment={"DATA_OF_THE_NODE": str(here.folder / "node")}, **settings)


def test_a_run_is_planned_where_its_data_is(here: ClusterWorld) -> None:
    here.data.rename(here.folder / "node")
    settle(here, data_check="node")
    here.submit("--data", VARIABLE, "--seeds", "2")
    here.wait_for_end()
    assert here.states() == ["done"] * 2
    assert "random" in here.page()


def test_data_is_brought_to_the_node_before_each_job(here: ClusterWorld) -> None:
    copy = f'mkdir -p "{VARIABLE}" && cp -r "{here.data}/imagenet" "{VARIABLE}/"'
    bring = f'{copy} && echo brought >> "{here.folder}/brought"'
    settle(here, data_check="node", stage={"imagenet": bring})
    done = here.run("--executor", "slurm", "--data", VARIABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrote" in done.stdout
    assert here.states() == ["done"]
    # Once for the plan, once for the job.
    assert (here.folder / "brought").read_text().split() == ["brought"] * 2


def test_what_the_plan_on_a_node_refuses_is_told_as_if_it_were_here(here: ClusterWorld) -> None:
    settle(here, data_check="node")
    done = here.run("--executor", "slurm", "--data", VARIABLE)
    assert done.returncode == 2
    assert "data is missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_variable_that_only_nodes_know_is_named_where_the_plan_is_made_here(here: ClusterWorld) -> None:
    settle(here)
    done = here.run("--executor", "slurm", "--detach", "--data", VARIABLE)
    assert done.returncode == 2
    assert "names $DATA_OF_THE_NODE" in done.stderr
    assert "slurm.data_check: node" in done.stderr


def test_a_command_that_fails_is_a_failure_with_its_last_words(here: ClusterWorld) -> None:
    settle(here, stage={"imagenet": "echo no such archive >&2; false"})
    here.submit()
    here.wait_for_end(120)
    (end,) = here.ends().values()
    assert end["state"] == "failed"
    assert "no such archive" in end["reason"]


def test_what_is_planned_on_a_node_heeds_the_cache_mode(here: ClusterWorld) -> None:
    here.data.rename(here.folder / "node")
    settle(here, data_check="node")
    here.submit("--data", VARIABLE)
    here.wait_for_end()
    here.submit("--data", VARIABLE, "--cache", "force")
    here.wait_until(lambda: len(here.entries("worked")) == 2, "the job is measured anew")
    here.wait_for_end()
    assert len(list(here.workspace.glob("jobs/*/superseded/*.json"))) == 1
    done = here.run("--executor", "slurm", "--data", VARIABLE, "--cache", "read-only")
    assert (done.returncode, "--cache read-only" in done.stderr) == (2, True)
