"""PreciseBN against a direct computation, alone and over ranks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.toolbox.modules.precise import update_statistics
from tests.benchmarks.toolbox.test_ranks import ROOT, free_port

BATCHES = 5


def batches() -> list[torch.Tensor]:
    """Batches of four images that differ in mean and spread."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 3, 6, 5, generator=generator) * (1 + number) + 2 * number for number in range(BATCHES)]


def network() -> nn.Sequential:
    """A norm, a convolution and another norm, which sees what the first one gives in training."""
    torch.manual_seed(1)
    return nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2, affine=False))


def normalised(values: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    mean, variance = values.mean((0, 2, 3), keepdims=True), values.var((0, 2, 3), keepdims=True)
    return np.asarray((values - mean) / np.sqrt(variance + 1e-5))


def test_statistics_are_the_mean_of_those_of_the_batches() -> None:
    model = network()
    with torch.no_grad():
        for _ in range(3):
            model(100 * batches()[0])
    update_statistics(model, model, batches())
    convolution = model[1].double()
    first = [batch.double().numpy() for batch in batches()]
    with torch.no_grad():
        second = [convolution(torch.from_numpy(normalised(values))).numpy() for values in first]
    for norm, seen in ((model[0], first), (model[2], second)):
        means = np.mean([values.mean((0, 2, 3)) for values in seen], axis=0)
        variances = np.mean([values.var((0, 2, 3), ddof=0) * _unbiased(values) for values in seen], axis=0)
        # float32 sums of 120 numbers in each batch; the mean over batches is taken in float64.
        np.testing.assert_allclose(norm.running_mean.numpy(), means, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(norm.running_var.numpy(), variances, rtol=1e-5)
        assert norm.momentum == 0.1


def _unbiased(values: np.ndarray) -> float:  # type: ignore[type-arg]
    count = values.size // values.shape[1]
    return count / (count - 1)


def test_a_norm_that_is_not_trained_and_all_parameters_stay() -> None:
    model = network()
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    update_statistics(model, model, batches())
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"0.running_mean", "0.running_var", "0.num_batches_tracked"}
    assert all(value.grad is None and value.requires_grad for value in model.parameters())


def test_momentum_is_as_before_after_a_failure() -> None:
    model = network()

    def fail(batch: torch.Tensor) -> None:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        update_statistics(model, fail, batches())
    assert [model[0].momentum, model[2].momentum] == [0.1, 0.1]


RANK = """
import sys, torch
from torch import nn
from benchmarks.base import World
from benchmarks.toolbox.modules.norm import use_ranked_norms
from benchmarks.toolbox.modules.precise import update_statistics
from benchmarks.toolbox.ranks import process_group
from tests.benchmarks.toolbox.test_precise import batches, network
rank, path, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
model = use_ranked_norms(nn.SyncBatchNorm.convert_sync_batchnorm(network()))
with process_group(World(rank, 2), "cpu", "127.0.0.1", port):
    update_statistics(model, model, [batch.chunk(2)[rank] for batch in batches()])
    torch.save(model.state_dict(), f"{path}.{rank}")
"""


def test_two_ranks_find_the_statistics_of_one(tmp_path: Path) -> None:
    port, path = str(free_port()), str(tmp_path / "state")
    processes = [subprocess.Popen([sys.executable, "-c", RANK, str(rank), path, port], cwd=ROOT) for rank in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    model = network()
    update_statistics(model, model, batches())
    for rank in range(2):
        for name, value in torch.load(f"{path}.{rank}").items():
            # float32 sums in another order.
            torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-5, atol=1e-5)
