"""What a backbone was trained to see: channel order, mean and standard deviation of its input."""

from __future__ import annotations

import dataclasses

from results.errors import HarnessError, did_you_mean


@dataclasses.dataclass(frozen=True)
class InputConvention:
    """The step from 8-bit pixels to the network's input: ``(pixel - mean) / std`` per channel.

    Args:
        name: Its name in records, keys and on the command line.
        channels: ``RGB`` or ``BGR``: the order in which the network takes the channels.
        mean: In units of 0 to 255, in the order of ``channels``.
        std: In units of 0 to 255, in the order of ``channels``.
        source: Where the numbers come from.
    """

    name: str
    channels: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str


CONVENTIONS = {
    convention.name: convention
    for convention in (
        InputConvention(
            "rgb-mean-std",
            "RGB",
            (123.675, 116.28, 103.53),
            (58.395, 57.12, 57.375),
            "torchvision's ImageNet weights; mmselfsup and mmpretrain data_preprocessor",
        ),
        InputConvention(
            "rgb-unit",
            "RGB",
            (0.0, 0.0, 0.0),
            (255.0, 255.0, 255.0),
            "google-research/simclr: images in [0, 1] without mean or standard deviation",
        ),
        InputConvention(
            "bgr-mean",
            "BGR",
            (103.53, 116.28, 123.675),
            (1.0, 1.0, 1.0),
            "detectron2 MODEL_ZOO (MSRA and Caffe2 weights): BGR, mean only",
        ),
    )
}
"""Every convention by name."""

DEFAULT_CONVENTION = "rgb-mean-std"


def input_convention(name: str) -> InputConvention:
    """Looks a convention up.

    Raises:
        HarnessError: There is none of that name.
    """
    if name not in CONVENTIONS:
        raise HarnessError(f"unknown input convention '{name}'", "--input", did_you_mean(name, CONVENTIONS))
    return CONVENTIONS[name]
