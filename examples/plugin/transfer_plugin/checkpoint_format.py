"""A checkpoint format: torchvision's names below ``exported`` with ``trunk.`` before them."""

from __future__ import annotations

from harness.checkpoint.formats.base import Format, Place


class Exported(Format):
    """``{"exported": {"trunk.conv1.weight": ...}}``; its networks saw RGB in [0, 1]."""

    name = "exported"
    summary = "the plug-in's own: exported with trunk.*"
    places = (Place("trunk", ("exported",), "trunk."),)
    input = "rgb-unit"
    dropped = ("fc.",)
