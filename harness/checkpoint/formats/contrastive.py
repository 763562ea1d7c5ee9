"""Checkpoints of self-supervised projects with training scripts of their own (not Lightning)."""

from __future__ import annotations

import re

from harness.checkpoint.formats.base import STATE, Format, Place, has, state
from harness.checkpoint.formats.lightning import is_lightning, sequential_name
from harness.checkpoint.read import CheckpointFile

MODEL = ("model",)


class MoCo(Format):
    """facebookresearch/moco, ``moco/builder.py`` and ``main_moco.py``."""

    name = "moco"
    summary = "MoCo v1, v2: state_dict with module.encoder_q.*"
    places = (Place("query", STATE, "encoder_q."), Place("key", STATE, "encoder_k."))
    dropped = ("fc.",)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return not has(state(file, STATE), "backbone.") and self.holds(file, "query")


class MoCoV3(Format):
    """facebookresearch/moco-v3, ``moco/builder.py``."""

    name = "moco-v3"
    summary = "MoCo v3: state_dict with module.base_encoder.*"
    places = (Place("base", STATE, "base_encoder."), Place("momentum", STATE, "momentum_encoder."))
    dropped = ("fc.", "head.")

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return self.holds(file, "base")


class SimSiam(Format):
    """facebookresearch/simsiam, ``simsiam/builder.py``."""

    name = "simsiam"
    summary = "SimSiam: state_dict with module.encoder.* and module.predictor.*"
    places = (Place("encoder", STATE, "encoder."),)
    dropped = ("fc.",)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return has(state(file, STATE), "predictor.") and not is_lightning(file) and super().recognises(file)


class SwAV(Format):
    """facebookresearch/swav and DeepCluster-v2, ``src/resnet50.py``.

    Its stem pads by 1 and then by 2 instead of by 3, which is the same.
    """

    name = "swav"
    summary = "SwAV, DeepCluster-v2: module.* with projection_head.*, prototypes*"
    places = (Place("backbone"), Place("backbone", STATE))
    dropped = ("projection_head.", "prototypes", "fc.")

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return super().recognises(file) and any(
            has(state(file, place.path), "projection_head.", "prototypes") for place in self.present(file)
        )


class Dino(Format):
    """facebookresearch/dino, ``main_dino.py``; ``eval_linear.py`` takes the teacher."""

    name = "dino"
    summary = "DINO full checkpoint: teacher and student with module.backbone.*"
    places = (Place("teacher", ("teacher",), "backbone."), Place("student", ("student",), "backbone."))
    dropped = ("fc.",)


class BarlowTwins(Format):
    """facebookresearch/barlowtwins, ``main.py``: a batch norm without weights behind the projector."""

    name = "barlow-twins"
    summary = "Barlow Twins checkpoint.pth: model with module.backbone.*, module.projector.*, module.bn.*"
    places = (Place("backbone", MODEL, "backbone."),)
    dropped = ("fc.",)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        names = state(file, MODEL)
        return has(names, "projector.") and has(names, "bn.") and super().recognises(file)


class VICReg(Format):
    """facebookresearch/vicreg, ``main_vicreg.py``."""

    name = "vicreg"
    summary = "VICReg model.pth: model with module.backbone.*, module.projector.*"
    places = (Place("backbone", MODEL, "backbone."),)
    dropped = ("fc.",)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        names = state(file, MODEL)
        return has(names, "projector.") and not has(names, "bn.") and super().recognises(file)


class Vissl(Format):
    """facebookresearch/vissl, ``vissl/models/trunks/feature_extractor.py`` and ``vissl/utils/checkpoint.py``."""

    name = "vissl"
    summary = "VISSL: classy_state_dict, model_state_dict or flat, with _feature_blocks.*"
    places = (
        Place("trunk", ("classy_state_dict", "base_model", "model", "trunk"), "_feature_blocks."),
        Place("trunk", ("classy_state_dict", "base_model", "model", "trunk"), "base_model._feature_blocks."),
        Place("trunk", ("model_state_dict",), "_feature_blocks."),
        Place("trunk", ("model_state_dict",), "trunk._feature_blocks."),
        Place("trunk", ("model_state_dict",), "base_model._feature_blocks."),
        Place("trunk", (), "_feature_blocks."),
        Place("trunk", (), "trunk._feature_blocks."),
        Place("trunk", (), "base_model._feature_blocks."),
        Place("momentum", ("classy_state_dict", "loss"), "moco_encoder.trunk._feature_blocks."),
    )
    dropped = ("fc.",)


class ByolPyTorch(Format):
    """yaox12/BYOL-PyTorch, ``model/byol_model.py``: torchvision's children in a Sequential."""

    name = "byol-pytorch"
    summary = "yaox12/BYOL-PyTorch: model with online_network.encoder.0.*"
    places = (
        Place("online", MODEL, "online_network.encoder."),
        Place("target", MODEL, "target_network.encoder."),
    )

    def rename(self, name: str) -> str:
        """See :class:`Format`."""
        return sequential_name(name)


class PixPro(Format):
    """zdaxie/PixPro, ``contrast/models/PixPro.py``."""

    name = "pixpro"
    summary = "PixPro: model with module.encoder.*, module.encoder_k.*"
    places = (Place("encoder", MODEL, "encoder."), Place("momentum", MODEL, "encoder_k."))
    dropped = ("fc.",)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return has(state(file, MODEL), "encoder_k.") and super().recognises(file)


class InfoMin(Format):
    """HobbitLong/PyContrast, ``pycontrast/networks/build_backbone.py``: InfoMin, CMC, PIRL."""

    name = "infomin"
    summary = "InfoMin, CMC, PIRL of PyContrast: model with module.encoder.*"
    places = (Place("encoder", MODEL, "encoder."), Place("ema", ("model_ema",), "encoder."))
    dropped = ("fc.",)

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return not has(state(file, MODEL), "encoder_k.") and super().recognises(file)


class SimCLRPyTorch(Format):
    """sthalles/SimCLR, ``models/resnet_simclr.py``: the projection head is the ``fc`` of a torchvision model.

    Its images are in [0, 1] (``data_aug/contrastive_learning_dataset.py`` has no normalisation).
    """

    name = "simclr-pytorch"
    summary = "sthalles/SimCLR: state_dict with backbone.* and backbone.fc.*"
    places = (Place("backbone", STATE, "backbone."),)
    dropped = ("fc.",)
    input = "rgb-unit"

    def recognises(self, file: CheckpointFile) -> bool:
        """See :class:`Format`."""
        return has(state(file, STATE), "backbone.fc.") and not is_lightning(file) and super().recognises(file)


class SimCLRv2(Format):
    """Separius/SimCLRv2-Pytorch, ``resnet.py``: Google's weights; images in [0, 1] as in its ``verify.py``."""

    name = "simclr-v2"
    summary = "SimCLR v2 by Separius/SimCLRv2-Pytorch: resnet with net.0.0.weight, net.1.blocks.0.net.0.weight"
    places = (Place("resnet", ("resnet",)),)
    dropped = ("fc.",)
    input = "rgb-unit"

    def rename(self, name: str) -> str:
        """See :class:`Format`."""
        name = re.sub(r"^net\.0\.0\.", "conv1.", name)
        name = re.sub(r"^net\.0\.1\.0\.", "bn1.", name)
        match = re.fullmatch(r"net\.([1-4])\.blocks\.(\d+)\.(net|projection)\.(shortcut|bn\.0|\d(?:\.0)?)\.(\w+)", name)
        if match is None:
            return name
        stage, block, branch, inner, part = match.groups()
        return f"layer{stage}.{block}.{_SIMCLR_V2.get((branch, inner), inner)}.{part}"


_SIMCLR_V2 = {
    ("projection", "shortcut"): "downsample.0",
    ("projection", "bn.0"): "downsample.1",
    ("net", "0"): "conv1",
    ("net", "1.0"): "bn1",
    ("net", "2"): "conv2",
    ("net", "3.0"): "bn2",
    ("net", "4"): "conv3",
    ("net", "5.0"): "bn3",
}
