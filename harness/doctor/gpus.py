"""GPUs, and whether torch computes on them."""

from __future__ import annotations

from harness.doctor.child import ask_python
from harness.doctor.findings import Finding, error, ok, warning
from harness.doctor.subject import Subject
from harness.schedule.slots import visible_gpus
from harness.toolboxes import INSTALL

TORCH_SECONDS = 120.0
"""Importing torch from a cold network disk takes a minute; making a context on a GPU ten seconds."""

USE_CUDA = """
import json, torch
found = {"version": torch.__version__, "built": torch.version.cuda, "names": [], "problem": ""}
try:
    if torch.cuda.is_available():
        found["names"] = [torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count())]
        for each in range(len(found["names"])):
            assert torch.ones(64, device=f"cuda:{each}").sum().item() == 64
    elif torch.version.cuda:
        # Says why, where there is a driver or a device at all.
        torch.cuda.init()
except Exception as error:
    found["problem"] = (str(error).strip() or type(error).__name__).splitlines()[0]
print(json.dumps(found))
"""

NO_CUDA = "install a torch with CUDA and a driver that fits it, or set device: cpu (HARNESS_DEVICE=cpu)"


def gpus(subject: Subject) -> Finding:
    """GPUs that this machine shows, without torch."""
    names = visible_gpus()
    if names:
        return ok("gpus", f"{len(names)}: {', '.join(names)}")
    if subject.on_cluster:
        return ok("gpus", "none on this machine; jobs on the cluster get theirs (--probe looks)")
    if not subject.is_full or subject.settings.device == "cpu":
        return ok("gpus", "none; jobs compute on the CPU")
    mend = "run on a machine with GPUs or on a cluster; --profile smoke is made for a CPU"
    return warning("gpus", "none; on a CPU the full suite takes weeks at least", mend)


def torch(subject: Subject) -> Finding:
    """torch, and whether it computes on the GPUs that are here; in a child, since a broken driver may hang."""
    return judge_torch(subject.settings.device == "cpu", visible_gpus())


def judge_torch(leaves_gpus_alone: bool, names: list[str], seconds: float = TORCH_SECONDS) -> Finding:
    """As :func:`torch`.

    Args:
        leaves_gpus_alone: Whether jobs compute on the CPU whatever there is.
        names: GPUs that should be there.
        seconds: How long torch may take.
    """
    said = ask_python(USE_CUDA, seconds)
    if said.content is None:
        if "did not end" in said.problem:
            mend = "run nvidia-smi: where that hangs too, the driver or a GPU is broken (node), else the disk is slow"
            return error("torch", f"using torch {said.problem}", mend)
        return error("torch", f"torch cannot be used: {said.problem}", INSTALL)
    version, built, found, problem = (said.content[name] for name in ("version", "built", "names", "problem"))
    title = f"torch {version} ({f'for CUDA {built}' if built else 'for CPUs'})"
    if not names or leaves_gpus_alone:
        return ok("torch", f"{title}; {'GPUs are left alone' if names else 'no GPU here'}")
    if not found or problem:
        reason = f": {problem}" if problem else ""
        return error("torch", f"{title} does not work on {', '.join(names)}{reason}", NO_CUDA)
    if len(found) != len(names):
        mend = "correct CUDA_VISIBLE_DEVICES: one job is started for each GPU that is named"
        return warning("torch", f"{title} finds {len(found)} GPUs, {len(names)} should be there", mend)
    return ok("torch", f"{title} computes on {', '.join(dict.fromkeys(found))}")
