"""The allow-list: every global that a checkpoint may name, and what stands for it.

Exact names, no packages: ``torch.hub.load`` is as foreign as ``os.system``. What is not here makes a file refused, with
the names it wanted; ``--trust`` reads it all the same, and runs none of it either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.checkpoint.pickles.tensors import CALLS, STORAGE_TYPES, StorageType
from harness.checkpoint.pickles.values import Global, Inert, plain_key

_SEQUENCES = (list, tuple, set, frozenset)


def _pairs(items: Any = (), *_: Any) -> Any:
    if isinstance(items, Mapping):
        return dict(items)
    return {plain_key(key): value for key, value in items} if isinstance(items, list | tuple) else Inert()


def _empty(*_: Any) -> dict[Any, Any]:
    return {}


def _mapping(content: Any = None, *_: Any) -> Any:
    return dict(content) if isinstance(content, Mapping) else {}


def _encoded(text: Any, codec: Any = "latin1", *_: Any) -> Any:
    """Bytes, as Python 3 pickles them for protocols that have none."""
    return text.encode("latin1") if codec in ("latin1", "latin-1") else Inert()


def _bytes(content: Any = b"", *_: Any) -> Any:
    # Not bytes(10**12): a number would take that much memory.
    return content if isinstance(content, bytes) else content.encode("latin1") if isinstance(content, str) else b""


def _set(items: Any = (), *_: Any) -> Any:
    return {item for item in items if plain_key(item) is item} if isinstance(items, _SEQUENCES) else Inert()


def _frozen_set(items: Any = (), *_: Any) -> Any:
    return frozenset(_set(items)) if isinstance(items, _SEQUENCES) else Inert()


def _tuple(items: Any = (), *_: Any) -> Any:
    return tuple(items) if isinstance(items, _SEQUENCES) else Inert()


def _list(items: Any = (), *_: Any) -> Any:
    return list(items) if isinstance(items, _SEQUENCES) else Inert()


def _reconstructed(_kind: Any, _base: Any, state: Any, *_: Any) -> Any:
    return dict(state) if isinstance(state, Mapping) else Inert()


def _new(kind: Any, *arguments: Any) -> Any:
    return kind.call(*arguments) if isinstance(kind, Global) and kind.call else Inert()


def _byol_state(*fields: Any) -> dict[str, Any]:
    names = ("online_params", "target_params", "online_state", "target_state", "opt_state")
    return dict(zip(names, fields, strict=False))


_DICTIONARIES = (
    "collections.defaultdict",
    "addict.addict.Dict",
    "easydict.EasyDict",
    "mmcv.utils.config.ConfigDict",
    "mmengine.config.config.ConfigDict",
    "ml_collections.config_dict.config_dict.ConfigDict",
    "yacs.config.CfgNode",
    "fvcore.common.config.CfgNode",
    "iopath.common.config.CfgNode",
    "detectron2.config.config.CfgNode",
    "vissl.utils.hydra_config.AttrDict",
    "vissl.config.attr_dict.AttrDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)

_BUILTIN_CALLS: Mapping[str, Callable[..., Any]] = {
    "dict": _mapping,
    "set": _set,
    "frozenset": _frozen_set,
    "list": _list,
    "tuple": _tuple,
    "bytes": _bytes,
    "bytearray": _bytes,
}

_CALLS: Mapping[str, Callable[..., Any]] = {
    **CALLS,
    "collections.OrderedDict": _pairs,
    "collections.Counter": _mapping,
    "_codecs.encode": _encoded,
    "haiku._src.data_structures.FlatMapping": _mapping,
    "haiku._src.data_structures.FlatMap": _mapping,
    "haiku._src.data_structures.frozendict": _mapping,
    **{f"{module}._reconstructor": _reconstructed for module in ("copyreg", "copy_reg")},
    **{f"{module}.__newobj__": _new for module in ("copyreg", "copy_reg")},
    **{f"{module}.{name}": call for module in ("builtins", "__builtin__") for name, call in _BUILTIN_CALLS.items()},
    **{
        f"{module}._ByolExperimentState": _byol_state
        for module in ("byol.byol_experiment", "byol_experiment", "__main__")
    },
    **dict.fromkeys(_DICTIONARIES, _empty),
}


def _names(module: str, names: str) -> tuple[str, ...]:
    return tuple(f"{module}.{name}" for name in names.split())


_NODES = "AnyNode BooleanNode BytesNode EnumNode FloatNode IntegerNode InterpolationNode PathNode StringNode ValueNode"
_OPTIMIZERS = "adam.Adam adamw.AdamW sgd.SGD"
_CALLBACKS = "early_stopping.EarlyStopping model_checkpoint.ModelCheckpoint lr_monitor.LearningRateMonitor"
_PATHS = "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath"
_BUILTINS = "bool complex float getattr int long object range slice str unicode xrange"

_INERT = (
    *_names("torch", "float64 float32 float16 bfloat16 double float half complex64 complex128 bool"),
    *_names("torch", "int64 int32 int16 int8 uint64 uint32 uint16 uint8 long int short qint8 quint8 qint32"),
    *_names("torch", "strided sparse_coo sparse_csr contiguous_format channels_last preserve_format"),
    *_names("torch", "per_tensor_affine per_channel_affine device Generator"),
    *_names("torch", "Tensor FloatTensor DoubleTensor HalfTensor LongTensor IntTensor"),
    *_names("torch.cuda", "FloatTensor DoubleTensor HalfTensor LongTensor IntTensor"),
    *_names("torch.storage", "TypedStorage _TypedStorage _UntypedStorage"),
    *_names("torch", "float8_e4m3fn float8_e5m2 torch_version.TorchVersion serialization._get_layout"),
    *_names("torch.optim", _OPTIMIZERS),
    "torch.nn.parameter.UninitializedParameter",
    *_names("builtins", _BUILTINS),
    *_names("__builtin__", _BUILTINS),
    *_names("numpy", "ndarray bool bool_ str_ float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint8"),
    *_names("numpy.random._pickle", "__randomstate_ctor __generator_ctor __bit_generator_ctor"),
    *_names("numpy.random", "_mt19937.MT19937 _pcg64.PCG64"),
    *_names("numpy.random.bit_generator", "SeedSequence __pyx_unpickle_SeedSequence"),
    "ml_dtypes.bfloat16",
    *_names("argparse", "Namespace"),
    *_names("types", "SimpleNamespace"),
    *_names("typing", "Any Dict List Optional Tuple Union"),
    *_names("datetime", "date datetime timedelta timezone"),
    *_names("decimal", "Decimal"),
    *_names("uuid", "UUID"),
    *_names("pathlib", _PATHS),
    *_names("pathlib._local", _PATHS),
    *_names("collections", "ChainMap deque"),
    *_names("functools", "partial"),
    *_names("fractions", "Fraction"),
    *_names("zoneinfo", "ZoneInfo"),
    *_names("mmengine.logging.history_buffer", "HistoryBuffer"),
    *_names("mmengine.logging.history_buffer.HistoryBuffer", "current max mean min"),
    *_names("omegaconf", "DictConfig ListConfig dictconfig.DictConfig listconfig.ListConfig"),
    *_names("omegaconf", "tupleconfig.TupleConfig base.ContainerMetadata base.Metadata base.UnionNode"),
    *_names("omegaconf.nodes", _NODES),
    "mmengine.config.config.Config",
    "torchvision.transforms.functional.InterpolationMode",
    # solo-learn's SimSiam keeps a function of its schedule in the scheduler's state.
    *_names("solo", "methods.base.static_lr utils.lars.LARS utils.lr_scheduler.LinearWarmupCosineAnnealingLR"),
    "pl_bolts.optimizers.lr_scheduler.LinearWarmupCosineAnnealingLR",
    *_names("pytorch_lightning.callbacks", _CALLBACKS),
    *_names("lightning.pytorch.callbacks", _CALLBACKS),
    *_names("jaxlib", "pytree.PyTreeDef xla_extension.pytree.PyTreeDef _jax.pytree.PyTreeDef"),
    *_names("optax._src", "base.EmptyState transform.ScaleByScheduleState transform.ScaleState transform.TraceState"),
    *_names("byol.utils.optimizers", "AddWeightDecayState ScaleByLarsState"),
)


def _storage_types() -> dict[str, Global]:
    modules = ("torch", "torch.cuda", "torch.storage")
    return {
        f"{module}.{name}": StorageType(f"{module}.{name}", dtype)
        for module in modules
        for name, dtype in STORAGE_TYPES.items()
    }


STAND_INS: Mapping[str, Global] = {
    **{name: Global(name) for name in _INERT},
    **{name: Global(name, call) for name, call in _CALLS.items()},
    **_storage_types(),
}
"""What stands for each global, by ``module.name``."""
