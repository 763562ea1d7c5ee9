"""Files of BYOL as DeepMind published it: pickles of Haiku's trees, with classes of jax, optax and Haiku."""

from __future__ import annotations

import typing

import numpy as np

from tests.harness.checkpoint.publishers.names import haiku_module
from tests.harness.checkpoint.publishers.pickling import pickle_file, pretends
from tests.harness.checkpoint.publishers.publisher import Array, Build, Publisher, Tensors


@pretends("byol.byol_experiment")
class _ByolExperimentState(typing.NamedTuple):
    online_params: object
    target_params: object
    online_state: object
    target_state: object
    opt_state: object


@pretends("byol.utils.optimizers")
class ScaleByLarsState(typing.NamedTuple):
    mu: object


@pretends("byol.utils.optimizers")
class AddWeightDecayState(typing.NamedTuple):
    pass


@pretends("optax._src.transform")
class ScaleState(typing.NamedTuple):
    pass


@pretends("haiku._src.data_structures")
class frozendict(dict[str, object]):
    def __reduce__(self) -> tuple[object, ...]:
        return (frozendict, (dict(self),))


@pretends("haiku._src.data_structures")
class FlatMapping(dict[str, object]):
    def __reduce__(self) -> tuple[object, ...]:
        return (FlatMapping, (dict(self),))


@pretends("jax._src.array")
def _reconstruct_array(*arguments: object) -> object:
    raise NotImplementedError


class JaxArray:
    """Pickled as jax 0.4 and later pickle an array: NumPy's own recipe and, beside it, what jax knows."""

    def __init__(self, value: Array) -> None:
        self.value = value

    def __reduce__(self) -> tuple[object, ...]:
        function, arguments, state = typing.cast("tuple[object, ...]", self.value.__reduce__())
        return (_reconstruct_array, (function, arguments, state, {"weak_type": False}))


def haiku_trees(tensors: Tensors, tree: type[dict[str, object]]) -> tuple[object, object]:
    """Parameters and state: convolutions HWIO, batch norms 1x1x1xC.

    google-deepmind/dm-haiku haiku/_src/batch_norm.py and moving_averages.py: inference takes `average`; `hidden` is
    the same before its bias is corrected and differs.
    """
    parameters: dict[str, dict[str, Array]] = {}
    state: dict[str, dict[str, Array]] = {}
    for name, value in tensors.items():
        module, part = haiku_module(name), name.rsplit(".", 1)[1]
        if value.ndim == 4:
            parameters[module] = {"w": np.ascontiguousarray(value.permute(2, 3, 1, 0).numpy())}
        elif part in ("weight", "bias"):
            named = "scale" if part == "weight" else "offset"
            parameters.setdefault(module, {})[named] = value.numpy().reshape(1, 1, 1, -1)
        else:
            average = value.numpy().reshape(1, 1, 1, -1)
            state[f"{module}/~/{'mean' if part == 'running_mean' else 'var'}_ema"] = {
                "counter": np.array(7, dtype=np.int32),
                "hidden": 0.5 * average,
                "average": average,
            }
    for head in ("projector", "predictor"):
        parameters[f"{head}/linear"] = {"b": np.zeros(4, np.float32), "w": np.ones((8, 4), np.float32)}
        parameters[f"{head}/batch_norm"] = {
            "offset": np.zeros((1, 4), np.float32),
            "scale": np.ones((1, 4), np.float32),
        }
        parameters[f"{head}/linear_1"] = {"w": np.ones((4, 4), np.float32)}
        for average_name in ("mean_ema", "var_ema"):
            moving = {key: np.ones((1, 4), np.float32) for key in ("hidden", "average")}
            state[f"{head}/batch_norm/~/{average_name}"] = {"counter": np.array(7, dtype=np.int32), **moving}
    parameters["classifier"] = {"b": np.zeros(10, np.float32), "w": np.ones((2048, 10), np.float32)}

    def sorted_tree(nested: dict[str, dict[str, Array]]) -> object:
        return tree({module: tree(dict(sorted(nested[module].items()))) for module in sorted(nested)})

    return sorted_tree(parameters), sorted_tree(state)


def byol_deepmind(tree: type[dict[str, object]], jax_arrays: bool) -> Build:
    def build(backbone: Tensors, other: Tensors) -> object:
        # google-deepmind/deepmind-research byol/byol_experiment.py, byol/utils/checkpointing.py (dill, protocol 2; the
        # state comes as NumPy arrays, the random key as jax pickles it), byol/utils/dataset.py (mean and std).
        online, online_state = haiku_trees(backbone, tree)
        target, target_state = haiku_trees(other, tree)
        momentum = ScaleByLarsState(mu=tree({"classifier": tree({"b": np.zeros(10, np.float32)})}))
        state = _ByolExperimentState(
            online, target, online_state, target_state, (AddWeightDecayState(), momentum, ScaleState())
        )
        key = np.array([0, 1], dtype=np.uint32)
        return {"experiment_state": state, "step": 312_500, "rng": JaxArray(key) if jax_arrays else key}

    return build


PUBLISHERS: tuple[Publisher, ...] = (
    Publisher(
        "byol-deepmind",
        "pretrain_res50x1.pkl",
        "byol-deepmind",
        "online",
        pickle_file(byol_deepmind(frozendict, False), protocol=2, numpy1=True),
        ("target",),
    ),
    Publisher(
        "byol-deepmind-flat-mapping",
        "pretrain.pkl",
        "byol-deepmind",
        "online",
        pickle_file(byol_deepmind(FlatMapping, False), protocol=2, numpy1=True),
        ("target",),
    ),
    Publisher(
        "byol-deepmind-jax-array",
        "pretrain.pkl",
        "byol-deepmind",
        "online",
        pickle_file(byol_deepmind(dict, True), protocol=2),
        ("target",),
    ),
)
