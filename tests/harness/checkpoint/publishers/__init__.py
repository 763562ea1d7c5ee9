"""One file of every publisher of ResNet-50 checkpoints, as the publisher's own code saves it, from one given backbone.

The names are written here from the publishers' sources and not taken from the reader under test. Beside the backbone a
file holds what its publisher's files hold: optimizer, arguments, heads, queues, the momentum copy (`other`). All that
is small; the backbone keeps the size it is given.

Files of libraries that are not installed here name their classes all the same (:mod:`.pickling`). What is written so
can be read only by a reader that does without those libraries.

A module for each publisher, or kind of network, has its files in `PUBLISHERS` and in `REFUSED` those that are no plain
ResNet-50 or stride elsewhere.
"""

from __future__ import annotations

from tests.harness.checkpoint.publishers import (
    byol_deepmind,
    byol_pytorch,
    caffe2,
    detectron2,
    facebook,
    hugging_face,
    infomin,
    lightly,
    lightning,
    openmmlab,
    other_resnets,
    other_stems,
    pixpro,
    pycls,
    quantised,
    resnet_v2,
    simclr,
    solo_learn,
    torchvision,
    vision_transformer,
    vissl,
)
from tests.harness.checkpoint.publishers.names import detectron2_name, pycls_name
from tests.harness.checkpoint.publishers.publisher import Publisher, RefusedPublisher

__all__ = ["PUBLISHERS", "REFUSED", "Publisher", "RefusedPublisher", "detectron2_name", "pycls_name"]

PUBLISHERS: tuple[Publisher, ...] = (
    *torchvision.PUBLISHERS,
    *openmmlab.PUBLISHERS,
    *facebook.PUBLISHERS,
    *vissl.PUBLISHERS,
    *simclr.PUBLISHERS,
    *lightning.PUBLISHERS,
    *solo_learn.PUBLISHERS,
    *lightly.PUBLISHERS,
    *byol_pytorch.PUBLISHERS,
    *byol_deepmind.PUBLISHERS,
    *pixpro.PUBLISHERS,
    *infomin.PUBLISHERS,
    *hugging_face.PUBLISHERS,
    *pycls.PUBLISHERS,
    *detectron2.PUBLISHERS,
)

REFUSED: tuple[RefusedPublisher, ...] = (
    *caffe2.REFUSED,
    *other_stems.REFUSED,
    *other_resnets.REFUSED,
    *quantised.REFUSED,
    *pycls.REFUSED,
    *hugging_face.REFUSED,
    *vision_transformer.REFUSED,
    *resnet_v2.REFUSED,
)
