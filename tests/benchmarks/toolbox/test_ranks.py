"""However many processes share a batch, and in however many parts it is computed, the trained weights are the same."""

from __future__ import annotations

import dataclasses
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.base import Benchmark, JobContext, World
from benchmarks.classification.imagenet_linear import ImagenetLinear
from benchmarks.classification.imagenet_mhead import ImagenetMhead
from benchmarks.toolbox.modules import SeededBatches, SeededOrder
from benchmarks.toolbox.modules.norm import RankedBatchNorm, use_ranked_norms
from benchmarks.toolbox.parts import in_parts, split
from benchmarks.toolbox.ranks import NobodyCameError, process_group
from benchmarks.toolbox.runner import Training

ROOT = Path(__file__).resolve().parents[3]
IMAGES = 80
"""Ten steps of eight images, or five of sixteen."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(context: JobContext, ranks: int = 1, parts: int = 1) -> Training:
    """Trains with so many processes, and gives what rank 0 found."""
    port = free_port()
    processes = []
    for rank in range(ranks):
        path = context.attempt / f"rank{rank}.pkl"
        # A protocol is frozen too hard to be pickled.
        changes: dict[str, Any] = {"world": World(rank, ranks, parts), "protocol": None}
        path.write_bytes(pickle.dumps((dataclasses.replace(context, **changes), context.protocol.to_dict())))
        command = [sys.executable, "-m", "tests.benchmarks.toolbox.rank", str(path), str(port)]
        processes.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    for process in processes:
        text = process.communicate(timeout=240)[0].decode()
        assert process.returncode == 0, text[-4000:]
    found: Training = pickle.loads((context.attempt / "rank0.out").read_bytes())
    return found


def weights(context: JobContext, epoch: int = 2) -> dict[str, torch.Tensor]:
    """What was trained: all but the backbone."""
    content = torch.load(context.attempt / f"toolbox/epoch_{epoch}.pth", weights_only=True)["state_dict"]
    return {name: value for name, value in content.items() if not name.startswith("backbone.")}


def assert_same(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # Sums over images in another order round otherwise; running variances are of the order of 30.
        torch.testing.assert_close(
            found[name], value, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_at: Any) -> Any:
    made = tiny_at(tmp_path_factory.mktemp("ranks"))
    made.write_images(train=27, val=3)
    lists = made.root / "imagenet/meta/train.txt"
    lists.write_text("\n".join(lists.read_text().splitlines()[:IMAGES]) + "\n")
    return made


def job(folder: Any, benchmark: Benchmark, batch: int = 16, **fields: Any) -> JobContext:
    """Two epochs of 80 images in batches of 16: ten steps."""
    context: JobContext = folder.job(
        benchmark=benchmark, epochs=2, batch_size=batch, batch_size_per_rank=batch, evaluation_interval=1, **fields
    )
    return context


@pytest.fixture(scope="module", params=[ImagenetLinear, ImagenetMhead], ids=lambda kind: str(kind.name))
def alone(folder: Any, request: pytest.FixtureRequest) -> tuple[Benchmark, JobContext, Training]:
    """The benchmark on one process."""
    benchmark: Benchmark = request.param()
    context = job(folder, benchmark)
    return benchmark, context, run(context)


def test_two_ranks_are_one(folder: Any, alone: tuple[Benchmark, JobContext, Training]) -> None:
    benchmark, single, expected = alone
    context = job(folder, benchmark)
    found = run(context, ranks=2)
    assert_same(weights(context), weights(single))
    assert found.evaluations == expected.evaluations
    assert [path.name for path in (context.attempt / "toolbox").glob("*.pth")] != []


def test_two_ranks_with_workers(folder: Any, alone: tuple[Benchmark, JobContext, Training]) -> None:
    benchmark, single, _ = alone
    context = job(folder, benchmark, workers=3)
    run(context, ranks=2)
    assert_same(weights(context), weights(single))


def test_two_ranks_that_were_killed_go_on(folder: Any, alone: tuple[Benchmark, JobContext, Training]) -> None:
    benchmark, single, expected = alone
    first = job(folder, benchmark)
    run(first, ranks=2)
    # As if killed in the second epoch: what is left is the checkpoint of the first.
    (first.attempt / "toolbox/epoch_2.pth").unlink()
    second = dataclasses.replace(job(folder, benchmark), previous=(first.attempt,))
    found = run(second, ranks=2)
    assert found.resumed_from == 1
    assert_same(weights(second), weights(single))
    assert found.evaluations == expected.evaluations


@pytest.mark.parametrize("parts", [2, 8])
def test_parts_are_one_without_a_batch_norm(folder: Any, parts: int) -> None:
    single, context = job(folder, ImagenetLinear()), job(folder, ImagenetLinear())
    run(single)
    run(context, parts=parts)
    assert_same(weights(context), weights(single))


def test_parts_are_another_batch_norm(folder: Any) -> None:
    single, context = job(folder, ImagenetMhead()), job(folder, ImagenetMhead())
    run(single)
    run(context, parts=2)
    with pytest.raises(AssertionError):
        assert_same(weights(context), weights(single))


def test_a_batch_norm_per_rank_would_be_seen(folder: Any, alone: tuple[Benchmark, JobContext, Training]) -> None:
    benchmark, single, _ = alone
    if "head_norm" not in benchmark.table:
        return
    context = job(folder, benchmark, head_norm="BN")
    run(context, ranks=2)
    with pytest.raises(AssertionError):
        assert_same(weights(context), weights(single))


class Numbers:
    """A data set of so many samples."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


@pytest.mark.parametrize(("ranks", "multiple"), [(1, 8), (2, 8), (4, 8), (8, 8)])
def test_ranks_share_every_batch_and_the_last_is_filled_up(ranks: int, multiple: int) -> None:
    def batches(rank: int, ranks: int) -> list[list[int]]:
        order = SeededOrder(Numbers(43), 0)
        return list(SeededBatches(order, 16, rank=rank, ranks=ranks, multiple=multiple))

    whole = batches(0, 1)
    assert [len(batch) for batch in whole] == [16, 16, 16]
    assert whole[2][11:] == whole[0][:5], "the first images of the epoch once more"
    shared = [batches(rank, ranks) for rank in range(ranks)]
    joined = [[draw for part in shared for draw in part[step]] for step in range(3)]
    assert joined == whole
    assert len(SeededBatches(SeededOrder(Numbers(43), 0), 16, multiple=multiple)) == 3


def test_batches_that_ranks_cannot_share() -> None:
    with pytest.raises(ValueError, match="cannot be shared by 3 ranks"):
        SeededBatches(SeededOrder(Numbers(43), 0), 16, ranks=3)


def test_a_batch_in_parts() -> None:
    samples = list("abcd")
    tensor = torch.arange(8).reshape(4, 2)
    parts = split({"inputs": tensor, "data_samples": samples}, 2)
    assert [part["data_samples"] for part in parts] == [["a", "b"], ["c", "d"]]
    assert torch.equal(torch.cat([part["inputs"] for part in parts]), tensor)
    views = split({"inputs": [tensor, tensor + 1], "data_samples": samples}, 4)
    assert [[view.tolist() for view in part["inputs"]] for part in views][3] == [[[6, 7]], [[7, 8]]]
    images = split({"inputs": list(tensor), "data_samples": samples}, 2)
    assert [len(part["inputs"]) for part in images] == [2, 2]
    with pytest.raises(ValueError, match="in 3 equal parts"):
        split({"inputs": tensor, "data_samples": samples}, 3)


def test_the_log_is_the_mean_of_the_parts() -> None:
    seen = []

    def step(data: Mapping[str, Any], optim_wrapper: Any) -> Mapping[str, Any]:
        seen.append(data["data_samples"])
        return {"loss": torch.tensor(float(len(seen)))}

    log = in_parts(step, 2)({"inputs": [1, 2, 3, 4], "data_samples": [1, 2, 3, 4]}, optim_wrapper=None)
    assert seen == [[1, 2], [3, 4]]
    assert log["loss"] == 1.5


NORM = """
import sys, torch
from benchmarks.base import World
from benchmarks.toolbox.modules.norm import RankedBatchNorm
from benchmarks.toolbox.ranks import process_group
rank, path, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
given = torch.load(path)
norm = RankedBatchNorm(3, affine=given["affine"], momentum=given["momentum"])
norm.load_state_dict(given["state"])
with process_group(World(rank, 2), "cpu", "127.0.0.1", port):
    share = given["input"].chunk(2)[rank].clone().requires_grad_()
    for _ in range(2):
        out = norm(share)
    (out * given["weights"].chunk(2)[rank]).sum().backward()
    torch.save({"out": out.detach(), "grad": share.grad, "state": norm.state_dict(),
        "own": [p.grad for p in norm.parameters()]}, f"{path}.{rank}")
"""


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_the_batch_norm_of_ranks_against_torchs_on_the_joined_batch(
    tmp_path: Path, affine: bool, momentum: float | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(8, 3, 5, 4, generator=generator) * 3 + 2
    factors = torch.randn(8, 3, 5, 4, generator=generator)
    expected = nn.BatchNorm2d(3, affine=affine, momentum=momentum)
    if affine:
        nn.init.uniform_(expected.weight)
        nn.init.uniform_(expected.bias)
    state = {name: value.clone() for name, value in expected.state_dict().items()}
    given = {"affine": affine, "momentum": momentum, "state": state, "input": values, "weights": factors}
    torch.save(given, tmp_path / "given")
    port = str(free_port())
    processes = [
        subprocess.Popen([sys.executable, "-c", NORM, str(rank), str(tmp_path / "given"), port], cwd=ROOT)
        for rank in range(2)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    joined = values.clone().requires_grad_()
    for _ in range(2):
        out = expected(joined)
    (out * factors).sum().backward()
    found = [torch.load(tmp_path / f"given.{rank}") for rank in range(2)]
    torch.testing.assert_close(torch.cat([part["out"] for part in found]), out.detach(), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.cat([part["grad"] for part in found]), joined.grad, rtol=0, atol=1e-5)
    for part in found:
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(part["state"][name], value, rtol=1e-5, atol=1e-5)
    for index, parameter in enumerate(expected.parameters()):
        torch.testing.assert_close(sum(part["own"][index] for part in found), parameter.grad, rtol=1e-5, atol=1e-4)


def test_norms_are_replaced_with_their_tensors() -> None:
    model = nn.Sequential(
        nn.SyncBatchNorm(3), nn.Sequential(nn.SyncBatchNorm(4, affine=False)), nn.BatchNorm2d(5)
    ).eval()
    before = dict(model.state_dict())
    assert use_ranked_norms(model) is model
    assert [type(module) for module in model.modules() if not isinstance(module, nn.Sequential)] == [
        RankedBatchNorm,
        RankedBatchNorm,
        nn.BatchNorm2d,
    ]
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(after[name].data_ptr() == value.data_ptr() for name, value in before.items())
    values = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(model[0](values), nn.BatchNorm2d(3).eval()(values))


def test_the_folder_is_left_clean(folder: Any) -> None:
    assert not (ROOT / ".dist_test").exists(), "results were gathered through the current folder"


@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_that_nobody_joins_give_up_in_time(rank: int) -> None:
    begun = time.monotonic()
    with pytest.raises(NobodyCameError), process_group(World(rank, 2), "cpu", "127.0.0.1", free_port(), patience=2):
        pass
    assert time.monotonic() - begun < 30
