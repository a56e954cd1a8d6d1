"""``converter.diff`` and ``converter transfer diff``: what is opened, how it looks, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import converter
from converter.errors import InputError, UsageError
from converter.graph import edit, io
from converter.ship import bundle
from tests.ship import tiny
from tests.ship.tiny import failed, only_json, run
from tests.transfer.graphs import cnn, numbers


def test_a_bundle_stands_for_its_deployed_graph(shipped: Path) -> None:
    assert converter.diff(shipped, bundle.read(shipped).model).numbers["empty"]
    assert converter.diff(shipped, shipped / "manifest.json").done == ["no difference: 8 tensors and 11 nodes are the same"]
    assert not converter.diff(shipped / "float.onnx", shipped).numbers["empty"]


def test_external_data_is_read(tmp_path: Path) -> None:
    io.save(cnn(), tmp_path / "one.onnx")
    io.save_external(cnn(), tmp_path / "two.onnx")
    assert converter.diff(tmp_path / "one.onnx", tmp_path / "two.onnx").numbers["empty"]


def test_the_tables(shipped: Path, tmp_path: Path) -> None:
    other = io.load(shipped / "model.onnx")
    codes = numbers(other, "w1/quantized").copy()
    codes[0, 0] += 4 if codes[0, 0] < 0 else -4
    edit.set_numbers(other.graph.initializers["w1/quantized"], codes)
    edit.set_numbers(other.graph.initializers["w2/scale"], numbers(other, "w2/scale") * np.float32(2))
    edit.set_numbers(other.graph.initializers["r/zero_point"], np.array(3, np.uint8))
    io.save(other, tmp_path / "other.onnx")
    done = run("transfer", "diff", shipped, tmp_path / "other.onnx")
    assert done.exit_code == 0 and done.stderr == ""
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in done.stdout.splitlines() if line.strip()}
    assert rows["w1"].startswith("1 of 6,144 codes, by up to 4 steps") and rows["w1"].endswith("dB")
    assert rows["w2"].startswith("scale x 2 ") and rows["r/zero_point"].startswith("zero point by ")
    twins = run("transfer", "diff", shipped / "float.onnx", shipped).stdout
    assert "6 x DequantizeLinear   only in the second" in twins and "float and codes" in twins


def test_long_tables_are_cut_and_json_has_all(tmp_path: Path) -> None:
    for name, start in (("one", 0.0), ("two", 1.0)):
        model = cnn()
        for index in range(60):
            edit.add_initializer(model, f"t{index}", np.full(2, start + index, np.float32) * 1.5)
        io.save(model, tmp_path / f"{name}.onnx")
    files = tmp_path / "one.onnx", tmp_path / "two.onnx"
    assert "20 more rows" in run("transfer", "diff", *files).stdout
    told = only_json(run("transfer", "diff", *files, "--json").stdout)
    assert len(told["numbers"]["tensors"]) == 60 and told["verdict"] is None


def test_no_difference_is_one_line(shipped: Path) -> None:
    assert run("transfer", "diff", shipped, shipped).stdout.strip() == "no difference: 8 tensors and 11 nodes are the same"


def test_what_cannot_be_compared(shipped: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.onnx"
    io.save(tiny.mlp(), cut)
    cut.write_bytes(cut.read_bytes()[:900])
    failed(run("transfer", "diff", shipped, cut), 2, "cut.onnx is not an ONNX file")
    failed(run("transfer", "diff", "model.keras", shipped), 2, r"graphs are compared, and model.keras is a Keras model; write it as ONNX first")
    failed(run("transfer", "diff", tmp_path, shipped), 2, "is not a bundle")
    with pytest.raises(InputError, match="no such file"):
        converter.diff(tmp_path / "none.onnx", shipped)
    with pytest.raises(UsageError, match="cannot compare a int"):
        converter.diff(3, shipped)  # type: ignore[arg-type]
