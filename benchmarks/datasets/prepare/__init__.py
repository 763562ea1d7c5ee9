"""Preparing: official archives, or folders unpacked from them, into the layout. Nothing is downloaded.

One module a data set says which files go where and what is made from them.
"""

from benchmarks.datasets.prepare.prepare import RECIPES, Prepared, prepare

__all__ = ["RECIPES", "Prepared", "prepare"]
