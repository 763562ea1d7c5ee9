from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.doctor import gpus
from tests.harness.doctor.conftest import MakeSubject, Programs

Package = Callable[[str, str], None]

TORCH = """
__version__ = "2.14.1"
class version: cuda = {cuda!r}
class Sum:
    def sum(self): return self
    def item(self): return {sum}
def ones(count, device): return Sum()
class cuda:
    def is_available(): return bool({count})
    def device_count(): return {count}
    def get_device_name(number): return "A100"
    def init(): raise RuntimeError("No CUDA GPUs are available\\nmore")
"""


def torch_of(count: int, cuda: str | None = "13.0", total: int = 64) -> str:
    return TORCH.format(count=count, cuda=cuda, sum=total)


def test_no_gpu_is_a_warning_where_the_full_suite_would_compute_here(subject: MakeSubject) -> None:
    assert gpus.gpus(subject()).state == "ok"
    assert gpus.gpus(subject(profile="full")).state == "warning"
    assert gpus.gpus(subject(profile="full", device="cpu")).state == "ok"


def test_on_a_login_node_no_gpu_is_needed(subject: MakeSubject, programs: Programs) -> None:
    programs(sbatch="", squeue="", scancel="", scontrol="")
    found = gpus.gpus(subject(profile="full"))
    assert (found.state, "--probe" in found.what) == ("ok", True)


def test_gpus_are_named(subject: MakeSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    assert gpus.gpus(subject(profile="full")).what == "2: 0, 3"


@pytest.mark.parametrize(
    ("count", "names", "state", "said"),
    [
        (2, ["0", "1"], "ok", "computes on A100"),
        (1, ["0", "1"], "warning", "finds 1 GPUs, 2 should be there"),
        (0, ["0"], "error", "does not work on 0: No CUDA GPUs are available"),
        (0, [], "ok", "no GPU here"),
    ],
)
def test_torch_is_held_against_the_gpus_that_are_there(
    package: Package, count: int, names: list[str], state: str, said: str
) -> None:
    package("torch.py", torch_of(count))
    found = gpus.judge_torch(False, names)
    assert (found.state, said in found.what) == (state, True), found


def test_a_torch_without_cuda_beside_a_gpu_is_an_error_unless_gpus_are_left_alone(package: Package) -> None:
    package("torch.py", torch_of(0, cuda=None))
    found = gpus.judge_torch(False, ["0"])
    assert (found.state, "(for CPUs) does not work on 0" in found.what) == ("error", True)
    assert "device: cpu" in found.mend
    assert gpus.judge_torch(True, ["0"]).state == "ok"


def test_a_gpu_that_computes_wrongly_is_an_error(package: Package) -> None:
    package("torch.py", torch_of(1, total=63))
    assert gpus.judge_torch(False, ["0"]).state == "error"


def test_a_torch_that_cannot_be_imported_is_an_error(package: Package, subject: MakeSubject) -> None:
    package("torch.py", "raise OSError('libcudart.so.13: cannot open shared object file')\n")
    found = gpus.torch(subject())
    assert (found.state, "libcudart" in found.what) == ("error", True)


def test_a_driver_that_hangs_is_an_error_that_says_so(package: Package) -> None:
    package("torch.py", "import time\ntime.sleep(60)\n")
    found = gpus.judge_torch(False, ["0"], seconds=0.5)
    assert (found.state, "did not end within 0.5 s" in found.what) == ("error", True)
    assert "nvidia-smi" in found.mend
