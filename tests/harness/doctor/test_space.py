from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.catalogue import BUILT_IN, catalogue, select
from harness.doctor.space import TRAINED_PARAMETERS, feature_bytes, need_of
from harness.settings import Settings, load_settings
from tests.harness.conftest import make_tiny_imagenet


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"data": tmp_path / "data"})


def test_features_are_images_times_numbers_times_four(settings: Settings, tmp_path: Path) -> None:
    """Of averaged features there are 2048 for each image of ImageNet: 10.9 GB."""
    need = need_of(select("imagenet_knn"), settings)
    assert need.parts["features"] == (1_281_167 + 50_000) * 2048 * 4
    svm = catalogue()["voc07_svm"]
    request = svm.feature_request(svm.protocol())
    assert request is not None
    # channels x side x side of each pooled map (mmselfsup, multi_pooling.py).
    pooled = 64 * 12**2 + 256 * 6**2 + 512 * 4**2 + 1024 * 3**2 + 2048 * 2**2
    assert feature_bytes(request, tmp_path) == (5011 + 4952) * pooled * 4


def test_data_that_is_there_is_counted(settings: Settings, tmp_path: Path) -> None:
    make_tiny_imagenet(tmp_path / "data")
    assert need_of(select("imagenet_knn"), settings).parts["features"] == 4 * 2048 * 4


def test_checkpoints_and_seeds_multiply_and_equal_features_do_not(settings: Settings) -> None:
    once = need_of(select("imagenet_knn,voc12aug_fcn"), settings)
    more = settings.model_copy(update={"ckpt": ("a.pth", "b.pth"), "seeds": 3})
    several = need_of(select("imagenet_knn,voc12aug_fcn"), more)
    assert several.parts["features"] == 2 * once.parts["features"]
    assert several.parts["voc12aug_fcn"] == 6 * once.parts["voc12aug_fcn"]
    assert several.size == sum(several.parts.values())


def test_benchmarks_that_share_features_write_them_once(settings: Settings) -> None:
    one, two = (need_of(select(suite), settings) for suite in ("voc07_svm", "voc07_svm,voc07_svm@vissl"))
    assert one.parts["features"] == two.parts["features"]
    assert set(two.parts) - set(one.parts) == {"voc07_svm@vissl"}


def test_classifiers_of_many_classes_need_more(settings: Settings) -> None:
    parts = need_of(select("places205_mhead,inaturalist2018_mhead"), settings).parts
    numbers = 64 * 12**2 + 256 * 6**2 + 512 * 4**2 + 1024 * 3**2 + 2048 * 2**2
    # Weights and momentum of the heads alone, in three checkpoints.
    assert parts["inaturalist2018_mhead"] > 3 * 2 * 4 * numbers * 8142
    assert parts["places205_mhead"] < parts["inaturalist2018_mhead"] / 5


def test_every_benchmark_that_trains_a_whole_network_has_an_estimate() -> None:
    own = {reference.partition(":")[2] for reference in BUILT_IN}
    dense = {
        name
        for name, each in catalogue().items()
        if type(each).__name__ in own and each.group in ("detection", "segmentation")
    }
    assert set(TRAINED_PARAMETERS) == dense
