from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from benchmarks.toolbox.modules import AutocastOptimWrapper
from benchmarks.toolbox.modules.precision import SCALER


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def momentum(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)


def trained(model: nn.Module, wrapper: OptimWrapper, steps: int, first: int = 0) -> list[torch.Tensor]:
    """Losses of so many steps; the images of a step are a function of its number."""
    losses = []
    for number in range(first, first + steps):
        generator = torch.Generator().manual_seed(number)
        images, labels = torch.randn(5, 6, generator=generator), torch.randint(0, 3, (5,), generator=generator)
        with wrapper.optim_context(model):
            loss = nn.functional.cross_entropy(model(images), labels)
        wrapper.update_params(loss)
        losses.append(loss.detach())
    return losses


def autocast(model: nn.Module, precision: str, **options: Any) -> AutocastOptimWrapper:
    return AutocastOptimWrapper(precision, "cpu", optimizer=momentum(model), **options)


@pytest.mark.parametrize("options", [{}, {"clip_grad": {"max_norm": 0.05}}, {"accumulative_counts": 2}])
def test_in_float32_it_is_mmengine_s_own_step(options: dict[str, Any]) -> None:
    model, plain = network(), network()
    found = trained(model, autocast(model, "fp32", **options), 6)
    expected = trained(plain, OptimWrapper(momentum(plain), **options), 6)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    start = network().state_dict()
    for name, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
        assert not torch.equal(value, start[name])


def test_gradients_are_clipped() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    wrapper = AutocastOptimWrapper(
        "fp32", "cpu", optimizer=torch.optim.SGD(model.parameters(), lr=1.0), clip_grad={"max_norm": 1e-3}
    )
    trained(model, wrapper, 1)
    moved = torch.cat([(value - before[name]).flatten() for name, value in model.state_dict().items()])
    # The step has the length of the clipped gradient; weights of about 0.3 are rounded to 3e-8.
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "amp"])
def test_forward_runs_under_autocast_and_parameters_stay_float32(precision: str) -> None:
    model = network()
    wrapper = autocast(model, precision)
    with wrapper.optim_context(model):
        scores = model(torch.randn(2, 6))
    assert scores.dtype == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")
    assert model(torch.randn(2, 6)).dtype == torch.float32
    losses = trained(model, wrapper, 3)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    plain = network()
    expected = trained(plain, OptimWrapper(momentum(plain)), 3)
    # bfloat16 has 8 bits: near, but not the same.
    for one, other in zip(losses, expected, strict=True):
        assert one.item() == pytest.approx(other.item(), rel=0.03)
    assert not torch.equal(model[0].weight, plain[0].weight)


def test_in_float32_autocast_is_off() -> None:
    model = network()
    with autocast(model, "fp32").optim_context(model):
        assert model(torch.randn(2, 6)).dtype == torch.float32


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_state_goes_through_a_checkpoint(precision: str, tmp_path: Any) -> None:
    whole = network()
    expected = trained(whole, autocast(whole, precision), 6)[3:]

    model = network()
    wrapper = autocast(model, precision)
    trained(model, wrapper, 3)
    torch.save({"optimizer": wrapper.state_dict(), "state_dict": model.state_dict()}, tmp_path / "iter_3.pth")
    content = torch.load(tmp_path / "iter_3.pth", weights_only=True)
    known = copy.deepcopy(content["optimizer"])
    resumed = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    resumed.load_state_dict(content["state_dict"])
    going_on = autocast(resumed, precision)
    going_on.load_state_dict(content["optimizer"])
    assert content["optimizer"].keys() == known.keys(), "the checkpoint itself was changed"
    assert SCALER in known
    assert all(torch.equal(one, other) for one, other in zip(trained(resumed, going_on, 3, 3), expected, strict=True))
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value)


class Scale:
    """Stands in for the scale of float16 losses, which a CPU does not have."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        self.calls.append("scale")
        return loss * 1024

    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        self.calls.append("unscale")
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad /= 1024

    def step(self, optimizer: torch.optim.Optimizer, **options: Any) -> None:
        if "unscale" not in self.calls:
            self.unscale_(optimizer)
        self.calls.append("step")
        optimizer.step(**options)

    def update(self) -> None:
        self.calls.append("update")


@pytest.mark.parametrize("clip", [None, {"max_norm": 0.05}])
def test_a_scaled_loss_gives_the_unscaled_step(clip: dict[str, float] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    model, plain = network(), network()
    wrapper, scale = autocast(model, "fp32", clip_grad=clip), Scale()
    monkeypatch.setattr(wrapper, "_scaler", scale)
    trained(model, wrapper, 1)
    trained(plain, OptimWrapper(momentum(plain), clip_grad=clip), 1)
    # 1024 is a power of two: scaling loses nothing.
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in model.state_dict().items())
    assert scale.calls == ["scale", "unscale", "step", "update"]
