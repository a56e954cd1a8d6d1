"""Sections that are plots: the words beside them."""

from __future__ import annotations

import pytest

from converter.ship import report_plots


@pytest.mark.parametrize(("ratio", "words"), [(0.65, "35\u00a0% less time"), (1.31, "31\u00a0% more time"), (1.004, "as fast as float")])
def test_a_ratio_of_times_in_words(ratio: float, words: str) -> None:
    assert report_plots.speed(ratio) == words


def test_a_metric_that_is_not_known_keeps_its_name() -> None:
    assert report_plots.metric({"metric": "top1"}) == "Top-1 accuracy"
    assert report_plots.metric({"metric": "dice"}) == "dice"
    assert report_plots.metric({}) == "Accuracy"


def test_one_layer_is_no_worst_layer() -> None:
    html = report_plots.layers({"numbers": {"layers": [{"path": "dense", "op_type": "Gemm", "snr_db": 31.0}]}})
    assert html is not None and "var(--bad)" not in html
    assert "The layer" in html and "31.0 dB" in html


def test_a_lost_bit_and_a_saturation_are_named_beside_the_noisiest() -> None:
    entry = {"path": "conv", "op_type": "Conv", "snr_db": 9.0, "weight_bits_lost": 0.5, "saturation": "moved"}
    html = report_plots.layers({"numbers": {"layers": [entry]}})
    assert html is not None and "9.0 dB, Conv, 0.50 weight bits lost, weight pairs moved" in html
