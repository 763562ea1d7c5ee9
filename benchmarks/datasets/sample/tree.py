"""Writing the files of the sample and remembering which handwritten digits went where."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.datasets.sample.scenes import Scene
from results.record import canonical_json

JPEG_QUALITY = 95


@dataclasses.dataclass
class Tree:
    """A folder that is being filled; all names are relative to it.

    Args:
        root: The folder.
        digits: For each side (``train``, ``test``): image name -> indices of the handwritten digits in it.
        files: How many files were written.
    """

    root: Path
    digits: dict[str, dict[str, list[int]]] = dataclasses.field(default_factory=lambda: {"train": {}, "test": {}})
    files: int = 0

    def _open(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.files += 1
        return path

    def image(self, name: str, scene: Scene, side: str) -> None:
        """Writes the picture of a scene, as PNG or JPEG by its name."""
        from PIL import Image

        path = self._open(name)
        picture = Image.fromarray(scene.pixels)
        if path.suffix == ".png":
            picture.save(path, "PNG")
        else:
            picture.save(path, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        self.digits[side][name] = list(scene.samples)

    def mask(self, name: str, values: npt.NDArray[np.uint8 | np.uint16], palette: bytes | None = None) -> None:
        """Writes a label map [height, width] as PNG of 8 or 16 bits, with a palette where one is given."""
        from PIL import Image

        picture = Image.fromarray(values)
        if palette is not None:
            picture = picture.convert("P") if picture.mode != "L" else picture
            picture.putpalette(palette)
        picture.save(self._open(name), "PNG")

    def text(self, name: str, lines: list[str]) -> None:
        """Writes lines."""
        self._open(name).write_bytes("".join(f"{line}\n" for line in lines).encode())

    def json(self, name: str, value: Any) -> None:
        """Writes canonical JSON."""
        self._open(name).write_bytes(canonical_json(value).encode())
