"""Made-up COCO annotations and detections: crowds, small objects, near hits, confusions, boxes at the border."""

from __future__ import annotations

from typing import Any

import numpy as np
import pycocotools.mask

CATEGORIES = 80


def make_coco(
    images: int, seed: int, masks: bool, detections_per_image: int = 100
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An annotation file's content, and detections of boxes or masks.

    With 5,000 images it is of val2017's size: some 7 objects and at most 100 detections an image.
    """
    random = np.random.default_rng(seed)
    share = random.dirichlet(np.full(CATEGORIES, 0.5))
    entries, annotations, detections = [], [], []
    for number in range(1, images + 1):
        width, height = 640, int(random.choice([427, 480, 640]))
        entries.append({"id": number, "width": width, "height": height, "file_name": f"{number:012d}.jpg"})
        present = random.choice(CATEGORIES, 3, p=share) + 1
        objects = [_object(random, present, width, height) for _ in range(min(1 + random.poisson(6.4), 60))]
        for category, box in objects:
            polygon = _polygon(random, box)
            crowd = int(random.random() < 0.02)
            rle = _encode(polygon, width, height)
            segmentation: Any = _uncompressed(rle) if crowd else [polygon]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "bbox": box,
                    "area": float(pycocotools.mask.area(rle)),
                    "iscrowd": crowd,
                    "segmentation": segmentation,
                }
            )
        for _ in range(detections_per_image):
            category, box, score = _guess(random, objects, present, width, height)
            one: dict[str, Any] = {"image_id": number, "category_id": category, "score": score}
            if masks:
                rle = _encode(_polygon(random, box), width, height)
                one["segmentation"] = {"size": rle["size"], "counts": rle["counts"].decode()}
            else:
                one["bbox"] = box
            detections.append(one)
    categories = [{"id": number, "name": f"class{number}"} for number in range(1, CATEGORIES + 1)]
    return {"images": entries, "annotations": annotations, "categories": categories, "info": {}}, detections


def _object(random: Any, present: Any, width: int, height: int) -> tuple[int, list[float]]:
    size, aspect = np.exp(random.normal(4.0, 1.0)), np.exp(0.4 * random.normal())
    wide, high = float(np.clip(size * aspect, 4, 0.95 * width)), float(np.clip(size / aspect, 4, 0.95 * height))
    left, top = random.random() * (width - wide), random.random() * (height - high)
    return int(random.choice(present)), [round(float(value), 2) for value in (left, top, wide, high)]


def _guess(random: Any, objects: Any, present: Any, width: int, height: int) -> tuple[int, list[float], float]:
    """A third are objects, moved and scaled; one in ten of these has another class; the rest are inventions."""
    if random.random() < 0.35:
        category, (left, top, wide, high) = objects[random.integers(len(objects))]
        moved = 0.12 * random.normal(size=4)
        left, top, wide, high = (
            left + moved[0] * wide,
            top + moved[1] * high,
            wide * np.exp(moved[2]),
            high * np.exp(moved[3]),
        )
        score = float(np.clip(random.beta(4, 3) - 0.8 * np.abs(moved).mean(), 0.01, 0.999))
        if random.random() < 0.1:
            category = int(random.integers(1, CATEGORIES + 1))
    else:
        category, (left, top, wide, high) = _object(random, present, width, height)
        score = float(random.beta(1, 6))
    left, top = max(0.0, left), max(0.0, top)
    box = [left, top, max(1.0, min(wide, width - left)), max(1.0, min(high, height - top))]
    # Rounded scores tie now and then.
    return category, [round(float(value), 2) for value in box], round(score, 4)


def _polygon(random: Any, box: list[float]) -> list[float]:
    left, top, wide, high = box
    angles = np.sort(random.random(int(random.integers(8, 24)))) * 2 * np.pi
    radius = 0.75 + 0.25 * random.random(len(angles))
    points = np.stack(
        [left + wide / 2 * (1 + radius * np.cos(angles)), top + high / 2 * (1 + radius * np.sin(angles))], 1
    )
    return [float(value) for value in np.round(points.ravel(), 2)]


def _encode(polygon: list[float], width: int, height: int) -> Any:
    return pycocotools.mask.merge(pycocotools.mask.frPyObjects([polygon], height, width))


def _uncompressed(rle: Any) -> dict[str, Any]:
    """The form in which annotation files hold crowds: run lengths as a list."""
    flat = pycocotools.mask.decode(rle).flatten(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], ends, [len(flat)]]))
    counts = runs.tolist() if flat[0] == 0 else [0, *runs.tolist()]
    return {"size": rle["size"], "counts": counts}
