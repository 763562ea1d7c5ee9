"""ImageNet, Places205 and iNaturalist 2018: one large digit an image, and lists ``path label``."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.datasets.sample.digits import CLASSES, Dealer, generator
from benchmarks.datasets.sample.scenes import Scene, compose, in_cell
from benchmarks.datasets.sample.tree import Tree

SIDE = 64
DIGIT = 56

SYNSETS = (
    ("n01440764", "tench, Tinca tinca"),
    ("n01443537", "goldfish, Carassius auratus"),
    ("n01484850", "great white shark, white shark, man-eater, man-eating shark, Carcharodon carcharias"),
    ("n01491361", "tiger shark, Galeocerdo cuvieri"),
    ("n01494475", "hammerhead, hammerhead shark"),
    ("n01496331", "electric ray, crampfish, numbfish, torpedo"),
    ("n01498041", "stingray"),
    ("n01514668", "cock"),
    ("n01514859", "hen"),
    ("n01518878", "ostrich, Struthio camelus"),
)
"""The first ten synsets of ILSVRC 2012, in the order of their labels."""

PLACES = (
    "abbey",
    "airport_terminal",
    "alley",
    "amphitheater",
    "amusement_park",
    "aquarium",
    "aqueduct",
    "arch",
    "art_gallery",
    "art_studio",
)
"""The first ten scenes of Places205, in the order of their labels."""

SUPERCATEGORY = "Plantae"


def _scenes(name: str, side: str, count: int) -> list[tuple[int, Scene]]:
    """``count`` images of one digit each, the ten digits in turn."""
    random = generator(name, side)
    dealer = Dealer(side, random)
    scenes = []
    for index in range(count):
        digit = index % CLASSES
        place = in_cell(random, dealer.deal(digit), (0, 0, SIDE, SIDE), DIGIT)
        scenes.append((digit, compose(random, SIDE, SIDE, [place])))
    return scenes


def _write_list(
    tree: Tree, name: str, side: str, count: int, listing: str, folder: str, path: Callable[[int, int], str]
) -> list[tuple[str, int]]:
    """Writes images and their list, sorted by class; ``path`` gives a name from label and number within the class."""
    rows = []
    for index, (label, scene) in enumerate(_scenes(name, side, count)):
        relative = path(label, index // CLASSES + 1)
        tree.image(f"{folder}/{relative}", scene, side)
        rows.append((relative, label))
    rows.sort(key=lambda row: (row[1], row[0]))
    tree.text(listing, [f"{relative} {label}" for relative, label in rows])
    return rows


def write_imagenet(tree: Tree, train: int = 640, val: int = 250) -> None:
    """``imagenet/{train,val}/<synset>/``, ``imagenet/meta/``."""
    for split, side, count in (("train", "train", train), ("val", "test", val)):

        def path(label: int, number: int, split: str = split) -> str:
            synset = SYNSETS[label][0]
            if split == "train":
                return f"{synset}/{synset}_{number}.JPEG"
            return f"{synset}/ILSVRC2012_val_{(number - 1) * CLASSES + label + 1:08d}.JPEG"

        _write_list(tree, "imagenet", side, count, f"imagenet/meta/{split}.txt", f"imagenet/{split}", path)
    tree.text("imagenet/meta/synsets.txt", [synset for synset, _ in SYNSETS])
    tree.text("imagenet/meta/synset_words.txt", [f"{synset} {words}" for synset, words in SYNSETS])


def write_places205(tree: Tree, train: int = 200, val: int = 100) -> None:
    """``Places205/data/vision/torralba/deeplearning/images256/a/<scene>/`` and its two lists."""
    home = "Places205"
    for split, side, count in (("train", "train", train), ("val", "test", val)):

        def path(label: int, number: int, split: str = split) -> str:
            return f"a/{PLACES[label]}/gsun_{split}{number:05d}.jpg"

        listing = f"{home}/trainvalsplit_places205/{split}_places205.csv"
        _write_list(
            tree, "places205", side, count, listing, f"{home}/data/vision/torralba/deeplearning/images256", path
        )


def write_inaturalist2018(tree: Tree, train: int = 200, val: int = 100) -> None:
    """``iNaturalist2018/train_val2018/<supercategory>/<category>/``, the two json files, and the lists made of them."""
    home = "iNaturalist2018"
    categories = [{"id": one, "name": str(one), "supercategory": SUPERCATEGORY} for one in range(CLASSES)]
    first = 1
    for split, side, count in (("train", "train", train), ("val", "test", val)):

        def path(label: int, number: int, split: str = split) -> str:
            return f"{SUPERCATEGORY}/{label}/{split}{number:05d}.jpg"

        folder = f"{home}/train_val2018"
        rows = _write_list(tree, "inaturalist2018", side, count, f"{home}/meta/{split}.txt", folder, path)
        images = [
            {"id": first + index, "file_name": f"train_val2018/{relative}", "width": SIDE, "height": SIDE}
            for index, (relative, _) in enumerate(rows)
        ]
        annotations = [
            {"id": first + index, "image_id": first + index, "category_id": label}
            for index, (_, label) in enumerate(rows)
        ]
        first += len(rows)
        content = {"images": images, "annotations": annotations, "categories": categories}
        tree.json(f"{home}/{split}2018.json", content)
