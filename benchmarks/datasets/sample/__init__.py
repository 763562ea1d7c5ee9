"""The sample: a small tree in the official layout of every data set, made of data that scikit-learn ships.

The 1,797 handwritten digits of ``sklearn.datasets.load_digits`` stand on darkened crops of the two photographs of
``sklearn.datasets.load_sample_images``. Nothing is downloaded. The ten digits bear the first ten official class names
of each data set. Digits of training images never occur in test images, across all data sets.
"""

from benchmarks.datasets.sample.make import MANIFEST, VERSION, make_sample

__all__ = ["MANIFEST", "VERSION", "make_sample"]
