"""A section of the pages: where the benchmark's tables stand, under which heading, with which words above them."""

from __future__ import annotations

from results.pages.sections import Section

SECTION = Section(
    benchmark="channel_mean",
    group="classification",
    heading="Mean of the First Convolution",
    data="ImageNet",
    intro=("**Mean** is the mean of all weights of the first convolution, times 100.",),
)
