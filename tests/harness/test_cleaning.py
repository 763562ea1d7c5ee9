"""What may be freed and what stays, one rule a test."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path

import pytest

from benchmarks.base import Batch
from harness import cleaning
from harness.cleaning import KINDS, find_freeable, free
from harness.job import Job
from harness.ledger import Claim, JobFolder
from results.errors import HarnessError
from results.workspace import Workspace
from tests.harness.hand_made import REQUEST, make_job, make_record
from tests.harness.world import World


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def folder_of(workspace: Workspace, job: Job) -> JobFolder:
    made = JobFolder((workspace.pretrain if job.pretrains else workspace.jobs) / job.name)
    made.write_spec(job.to_dict())
    return made


def attempt(folder: JobFolder, status: str = "", job: Job | None = None) -> Claim:
    """One attempt with everything that attempts leave; ``done`` publishes the result of ``job``."""
    claim = folder.take_claim(folder.attempt_name())
    assert claim is not None
    path = folder.attempt_folder(claim.attempt)
    for name, size in (
        ("log.txt", 10),
        ("log-rank1.txt", 20),
        ("proof.png", 30),
        ("toolbox/epoch_12.pth", 1000),
        ("toolbox/last_checkpoint", 3),
        ("toolbox/20260101/vis_data/scalars.json", 7),
    ):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"x" * size)
    if status:
        if status == "done":
            assert job is not None
            folder.publish_result(make_record(job, claim.attempt))
        folder.end_attempt(claim.attempt, status, "why")
        folder.release(claim)
    return claim


def features_of(workspace: Workspace, job: Job) -> Path:
    extraction = job.feature_job()
    assert extraction is not None
    path = workspace.feature_set(extraction.key)
    path.mkdir(parents=True)
    (path / "train-feature5-00000.npy").write_bytes(b"x" * 500)
    (path / "manifest.json").write_text("{}")
    return path


def sizes(workspace: Workspace, *kinds: str) -> dict[str, int]:
    return {each.kind: each.size for each in find_freeable(workspace, kinds or KINDS)}


def free_all(workspace: Workspace, *kinds: str) -> int:
    return sum(free(workspace, each) for each in find_freeable(workspace, kinds or KINDS))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_logs_and_checkpoints_of_a_finished_job_are_freed_and_all_else_stays(workspace: Workspace) -> None:
    job = make_job()
    folder = folder_of(workspace, job)
    first, second = attempt(folder, "failed"), attempt(folder, "done", job)
    before = files(folder.path)
    assert sizes(workspace) == {"attempts": 80, "weights": 2000}
    assert free_all(workspace) == 2080
    gone = {"log.txt", "log-rank1.txt", "toolbox/epoch_12.pth", "toolbox/last_checkpoint"}
    gone |= {"toolbox/20260101/vis_data/scalars.json"}
    expected = {f"attempts/{claim.attempt}/{name}" for claim in (first, second) for name in gone}
    assert before - files(folder.path) == expected
    assert not (folder.attempt_folder(second.attempt) / "toolbox").exists()
    assert (folder.failures(), len(folder.attempts())) == (1, 2)
    assert folder.read_result() is not None


def test_freeing_again_frees_nothing(workspace: Workspace) -> None:
    job = make_job()
    attempt(folder_of(workspace, job), "done", job)
    items = find_freeable(workspace)
    assert [free(workspace, each) for each in items] == [40, 1000]
    assert [free(workspace, each) for each in items] == [0, 0]
    assert find_freeable(workspace) == []


def test_weights_stay_where_they_are_not_asked_for(workspace: Workspace) -> None:
    job = make_job()
    folder = folder_of(workspace, job)
    made = attempt(folder, "done", job)
    free_all(workspace, "attempts")
    assert files(folder.attempt_folder(made.attempt) / "toolbox") == {"epoch_12.pth"}
    free_all(workspace, "weights")
    assert not (folder.attempt_folder(made.attempt) / "toolbox").exists()


@pytest.mark.parametrize("status", ["failed", "interrupted", ""])
def test_a_job_that_is_not_finished_keeps_everything(workspace: Workspace, status: str) -> None:
    attempt(folder_of(workspace, make_job()), status)
    assert find_freeable(workspace) == []


def test_a_job_that_is_held_keeps_everything_though_it_has_a_result(workspace: Workspace) -> None:
    job = make_job()
    folder = folder_of(workspace, job)
    attempt(folder, "done", job)
    attempt(folder)
    assert find_freeable(workspace) == []


def test_a_job_on_another_host_counts_as_held(workspace: Workspace) -> None:
    job = make_job()
    folder = folder_of(workspace, job)
    attempt(folder, "done", job)
    claim = attempt(folder)
    path = folder.path / "claims" / f"{claim.number:04d}.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "process": {**raw["process"], "host": "elsewhere"}}))
    assert find_freeable(workspace) == []


def test_a_job_that_began_again_between_looking_and_freeing_is_left(workspace: Workspace) -> None:
    job = make_job()
    folder = folder_of(workspace, job)
    attempt(folder, "done", job)
    items = find_freeable(workspace)
    folder.supersede()
    assert [free(workspace, each) for each in items] == [0, 0]
    assert len(files(folder.path / "attempts")) == 8


def test_a_result_that_was_set_aside_stays(workspace: Workspace) -> None:
    job = make_job()
    folder = folder_of(workspace, job)
    attempt(folder, "done", job)
    folder.supersede()
    attempt(folder, "done", job)
    free_all(workspace)
    assert len(list((folder.path / "superseded").iterdir())) == 1


def test_features_of_finished_probes_are_freed(workspace: Workspace) -> None:
    probes = [make_job(seed=seed, request=REQUEST) for seed in (0, 1)]
    path = features_of(workspace, probes[0])
    for job in probes:
        attempt(folder_of(workspace, job), "done", job)
    assert sizes(workspace, "features") == {"features": 502}
    assert free_all(workspace, "features") == 502
    assert list(workspace.features.iterdir()) == []
    assert not path.exists()


def test_features_that_an_unfinished_probe_needs_stay(workspace: Workspace) -> None:
    done, waiting = (make_job(seed=seed, request=REQUEST) for seed in (0, 1))
    path = features_of(workspace, done)
    attempt(folder_of(workspace, done), "done", done)
    items = find_freeable(workspace, ["features"])
    folder_of(workspace, waiting)
    assert find_freeable(workspace, ["features"]) == []
    assert [free(workspace, each) for each in items] == [0]
    assert path.is_dir()


def test_features_that_no_probe_here_needs_stay(workspace: Workspace) -> None:
    features_of(workspace, make_job(request=REQUEST))
    assert find_freeable(workspace) == []


def test_features_under_extraction_stay_and_what_a_killed_one_left_goes(workspace: Workspace) -> None:
    job = make_job(request=REQUEST)
    extraction = job.feature_job()
    assert extraction is not None
    left = workspace.features / f".{extraction.key}.0123.tmp"
    left.mkdir(parents=True)
    (left / "train-feature5-00000.npy").write_bytes(b"x" * 100)
    folder = folder_of(workspace, extraction)
    claim = attempt(folder)
    assert find_freeable(workspace, ["features"]) == []
    folder.release(claim)
    assert free_all(workspace, "features") == 100
    assert not left.exists()


def test_an_end_amid_freeing_leaves_nothing_that_the_next_call_does_not_free(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(request=REQUEST)
    path = features_of(workspace, job)
    attempt(folder_of(workspace, job), "done", job)

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cleaning.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            free_all(workspace, "features")
    assert not path.exists()
    assert free_all(workspace, "features") == 502
    assert list(workspace.features.iterdir()) == []


def pretraining(workspace: Workspace) -> tuple[JobFolder, Path]:
    """A finished pretraining job, and what it made: by link, as the payload does it."""
    job = make_job("simclr", backbone=None, batch=Batch(effective=256, batch_norm=256))
    folder = folder_of(workspace, job)
    claim = folder.take_claim(folder.attempt_name())
    assert claim is not None
    made = folder.attempt_folder(claim.attempt) / "toolbox" / "simclr.pth"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"w" * 300)
    (made.parent / "epoch_200.pth").write_bytes(b"w" * 900)
    folder.publish_product(made, "simclr_20260101-01234567.pth")
    name = "simclr_20260101-01234567.pth"
    # Its record's backbone is what was made; which one does not matter here.
    record = make_record(make_job(), claim.attempt)
    details = {"checkpoint": {"file": name, "sha256": "01234567" * 8, "bytes": 300}}
    folder.publish_result(dataclasses.replace(record, key=job.key, details=details))
    folder.release(claim)
    return folder, folder.path / name


def test_what_pretraining_made_stays_and_its_training_checkpoints_go(workspace: Workspace) -> None:
    folder, product = pretraining(workspace)
    # The product's other name in the attempt goes, too, and frees nothing.
    assert free_all(workspace) == 900
    assert product.read_bytes() == b"w" * 300
    assert folder.product() == product


def test_pretraining_whose_product_is_gone_keeps_what_it_goes_on_from(workspace: Workspace) -> None:
    _, product = pretraining(workspace)
    product.unlink()
    assert find_freeable(workspace) == []


def test_a_workspace_below_a_folder_called_toolbox_keeps_its_attempts(tmp_path: Path) -> None:
    workspace, job = Workspace(tmp_path / "toolbox" / "work"), make_job()
    folder = folder_of(workspace, job)
    attempt(folder, "done", job)
    free_all(workspace)
    assert len(folder.attempts()) == 1


def test_links_are_not_followed(workspace: Workspace, tmp_path: Path) -> None:
    job = make_job()
    folder = folder_of(workspace, job)
    made = attempt(folder, "done", job)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "mine.pth").write_bytes(b"x" * 50)
    (folder.attempt_folder(made.attempt) / "toolbox" / "link").symlink_to(precious)
    (folder.attempt_folder(made.attempt) / "toolbox" / "link.pth").symlink_to(precious / "mine.pth")
    assert free_all(workspace) == 1040
    assert (precious / "mine.pth").exists()


def test_a_corrupt_ledger_is_refused(workspace: Workspace) -> None:
    job = make_job()
    folder = folder_of(workspace, job)
    attempt(folder, "done", job)
    folder.spec.write_text('{"benchmark": "counting"}')
    with pytest.raises(HarnessError, match=r"spec\.json is not what the harness wrote"):
        find_freeable(workspace)


def test_what_cannot_be_removed_says_so(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job()
    attempt(folder_of(workspace, job), "done", job)

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(HarnessError, match=r"cannot remove .*log-rank1\.txt: Permission denied"):
        free_all(workspace)


def test_the_verb_shows_by_default_and_frees_with_yes(world: World) -> None:
    job = make_job()
    workspace = Workspace(world.workspace)
    folder = folder_of(workspace, job)
    made = attempt(folder, "done", job)
    place = ("--workspace", str(world.workspace))
    shown = world.call("clean", *place)
    assert shown.returncode == 0, shown.stderr
    assert f"{folder.name}" in shown.stdout
    assert "1.0 kB can be freed: add --yes" in shown.stdout
    assert (folder.attempt_folder(made.attempt) / "log.txt").exists()
    rows = [{"what": kind, "name": folder.name, "files": count, "bytes": size}
            for kind, count, size in (("attempts", 4, 40), ("weights", 1, 1000))]  # fmt: skip
    told = world.call("clean", "--json", *place)
    assert json.loads(told.stdout) == {"freeable": rows, "freed_bytes": 0}
    kept = world.call("clean", "--keep-weights", "--yes", "--json", *place)
    assert json.loads(kept.stdout) == {"freeable": rows[:1], "freed_bytes": 40}
    freed = world.call("clean", "--what", "weights,features", "--yes", *place)
    assert "freed 1.0 kB" in freed.stdout
    assert find_freeable(workspace) == []


def test_the_verb_refuses_what_it_does_not_know(world: World, tmp_path: Path) -> None:
    unknown = world.call("clean", "--what", "weight", "--workspace", str(world.workspace))
    assert (unknown.returncode, "did you mean 'weights'?" in unknown.stderr) == (2, True)
    nowhere = world.call("clean", "--workspace", str(tmp_path / "nowhere"))
    assert (nowhere.returncode, "there is no workspace" in nowhere.stderr) == (2, True)
