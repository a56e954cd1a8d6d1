"""The verb ``transfer copy``: matched, converted, held to the donor, written whole; where anything is wrong nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import converter
from converter.errors import ConversionError, ConverterError, InputError, ParityError, UsageError, VerdictError
from converter.graph import io
from converter.ship.donors import cleaned
from converter.spec.report import Verdict
from converter.transfer import parameters
from converter.verify.session import Session
from tests.frontend.building import layers, left_over, stir
from tests.quantize.graphs import graph, quantized, weights
from tests.ship import tiny

ENDS = "(float[N,3,8,8] x) => (float[N,5] y)"


def network(seed: int, names: str = "wbvc", ends: str = ENDS, act: str = "Relu", width: int = 8, start: str = "x") -> ir.Model:
    w, b, v, c = names
    return graph(ends, f"h = Conv({start}, {w}, {b})\nr = {act}(h)\ng = GlobalAveragePool(r)\nf = Flatten(g)\ny = Gemm<transB=1>(f, {v}, {c})",
                 **{w: weights(width, 3, 3, 3, seed=seed), b: weights(width, seed=seed + 1), v: weights(5, width, seed=seed + 2),
                    c: weights(5, seed=seed + 3)})


def batchnorm(seed: int) -> ir.Model:
    rng = np.random.default_rng(seed)
    return graph(ENDS, "h = Conv(x, w)\nn = BatchNormalization(h, gamma, beta, mean, var)\nr = Relu(n)\ng = GlobalAveragePool(r)\nf = Flatten(g)\n"
                 "m = MatMul(f, v)\ny = Add(m, c)", w=weights(8, 3, 3, 3, seed=seed), gamma=rng.uniform(0.5, 2, 8).astype(np.float32),
                 beta=weights(8, seed=seed + 1), mean=weights(8, seed=seed + 4), var=rng.uniform(0.5, 2, 8).astype(np.float32),
                 v=weights(8, 5, seed=seed + 2), c=weights(5, seed=seed + 3))


IMAGES = np.random.default_rng(5).normal(0, 1, (12, 3, 8, 8)).astype(np.float32)


def saved(model: ir.Model, path: Path) -> Path:
    io.save(model, path)
    return path


def run(path: Path, x: np.ndarray = IMAGES) -> np.ndarray:
    session = Session(path)
    return session.run({session.inputs[0].name: x})["y"]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Donor, recipient with other names of weights and of its input, and where to write."""
    other = network(50, "pqst", "(float[N,3,8,8] image) => (float[N,5] y)", start="image")
    return saved(network(1), tmp_path / "donor.onnx"), saved(other, tmp_path / "recipient.onnx"), tmp_path / "out.onnx"


# --- float into float


def test_the_new_file_computes_what_the_donor_computes(pair: tuple[Path, Path, Path]) -> None:
    donor, recipient, out = pair
    before = recipient.read_bytes()
    report = converter.copy_weights(donor, recipient, out)
    np.testing.assert_allclose(run(out), run(donor), atol=1e-6)
    assert recipient.read_bytes() == before
    numbers = report.numbers
    assert numbers["changed"] == ["p", "q", "s", "t"] and not numbers["unchanged"] and numbers["bytes"] == out.stat().st_size
    assert numbers["fidelity"]["before"]["snr_db"] < 20 < 100 < numbers["fidelity"]["after"]["snr_db"]
    assert "4 parameters paired (4 by structure)" in report.done and not report.warnings


def test_other_activations_of_the_same_weights_are_found_unless_proof_is_waived(pair: tuple[Path, Path, Path]) -> None:
    _, recipient, out = pair
    donor = saved(network(1, act="Tanh"), out.with_name("tanh.onnx"))
    with pytest.raises(ParityError, match=r"does not compute what the donor computes: output 'y': .*Do the two differ in what has no weights"):
        converter.copy_weights(donor, recipient, out)
    assert not out.exists()
    report = converter.copy_weights(donor, recipient, out, proof=False)
    assert out.exists() and report.numbers["fidelity"]["after"]["snr_db"] < 60


def test_a_part_or_a_blend_is_not_held_to_the_donor(pair: tuple[Path, Path, Path]) -> None:
    donor, recipient, out = pair
    converter.copy_weights(donor, recipient, out, select=["p", "q"])
    report = converter.copy_weights(donor, recipient, out, factor=0.5, force=True)
    assert report.numbers["fidelity"]["after"]["snr_db"] < 40


def test_the_users_data_are_compared_on(pair: tuple[Path, Path, Path]) -> None:
    donor, recipient, out = pair
    report = converter.copy_weights(donor, recipient, out, data={"image": IMAGES})
    assert report.numbers["fidelity"]["after"]["samples"] == len(IMAGES)
    with pytest.raises(InputError):
        converter.copy_weights(donor, recipient, out, data={"image": IMAGES[:, :2]}, force=True)


def test_models_that_take_other_inputs_cannot_be_compared_and_that_is_said(pair: tuple[Path, Path, Path]) -> None:
    """Channels last against channels first: equal weights, other pictures."""
    _, recipient, out = pair
    last = graph("(float[N,8,8,3] x) => (float[N,5] y)", "t = Transpose<perm=[0,3,1,2]>(x)\nh = Conv(t, w, b)\nr = Relu(h)\n"
                 "g = GlobalAveragePool(r)\nf = Flatten(g)\ny = Gemm<transB=1>(f, v, c)",
                 w=weights(8, 3, 3, 3), b=weights(8), v=weights(5, 8), c=weights(5))
    donor = saved(last, out.with_name("last.onnx"))
    with pytest.raises(InputError, match=r"donor and recipient cannot be compared, and nothing was written: .*--no-proof"):
        converter.copy_weights(donor, recipient, out)
    assert not out.exists()
    report = converter.copy_weights(donor, recipient, out, proof=False)
    assert any("cannot be compared" in w for w in report.warnings)
    np.testing.assert_allclose(run(out), run(donor, np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1))), atol=1e-6)


def test_a_keras_model_is_a_donor(tmp_path: Path) -> None:
    import keras

    start = keras.Input((3, 8, 8), name="x")
    x = layers.Permute((2, 3, 1))(start)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3)(x)))
    model = stir(keras.Model(start, layers.Dense(5)(layers.GlobalAveragePooling2D()(x))))
    report = converter.copy_weights(model, saved(network(50, "pqst"), tmp_path / "r.onnx"), tmp_path / "out.onnx")
    np.testing.assert_allclose(run(tmp_path / "out.onnx"), np.asarray(model(IMAGES)), atol=1e-5)
    assert report.numbers["model"]["source"] == model.name


def test_batchnorm_of_the_donor_is_folded_into_a_folded_recipient(pair: tuple[Path, Path, Path]) -> None:
    _, recipient, out = pair
    donor = saved(batchnorm(1), out.with_name("bn.onnx"))
    report = converter.copy_weights(donor, recipient, out, save_map=out.with_name("map.json"))
    assert len(report.numbers["pairs"]) == 4
    np.testing.assert_allclose(run(out), run(donor), atol=1e-5)
    told = json.loads(out.with_name("map.json").read_text())
    again = converter.copy_weights(donor, recipient, out, mapping=told, by="map", force=True)
    assert [(p["donor"], p["recipient"]) for p in again.numbers["pairs"]] == [(p["donor"], p["recipient"]) for p in report.numbers["pairs"]]


def test_batchnorm_on_both_sides_stays_as_it_is(tmp_path: Path) -> None:
    donor, recipient = saved(batchnorm(1), tmp_path / "a.onnx"), saved(batchnorm(30), tmp_path / "b.onnx")
    report = converter.copy_weights(donor, recipient, tmp_path / "out.onnx")
    assert len(report.numbers["pairs"]) == 7 and "4 parameters" not in report.done[0]
    assert any(node.op_type == "BatchNormalization" for node in io.load(tmp_path / "out.onnx").graph)
    np.testing.assert_allclose(run(tmp_path / "out.onnx"), run(donor), atol=1e-6)


def test_a_file_that_tells_no_shapes_is_understood(tmp_path: Path) -> None:
    """What is added to a MatMul is its bias, though the file does not say of what rank that is."""
    bare = batchnorm(1)
    for node in bare.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None
    report = converter.copy_weights(saved(bare, tmp_path / "bare.onnx"), saved(network(50, "pqst"), tmp_path / "r.onnx"), tmp_path / "out.onnx")
    assert [p["role"] for p in report.numbers["pairs"]] == ["kernel", "bias", "kernel", "bias"]


# --- into integer graphs and bundles


def integer(seed: int, path: Path) -> Path:
    made = quantized(network(seed, "pqst"), count=12, feeds={"x": IMAGES}).integer
    return saved(made, path)


def test_float_weights_go_into_an_integer_graph(tmp_path: Path) -> None:
    donor, recipient = saved(network(1), tmp_path / "d.onnx"), integer(50, tmp_path / "r.onnx")
    near = saved(network(1), tmp_path / "near.onnx")
    made = io.load(near)
    for value in made.graph.initializers.values():
        array = value.const_value.numpy()  # type: ignore[union-attr]
        value.const_value = ir.tensor(array * np.float32(0.95), name=value.name)
    recipient = integer(1, tmp_path / "same.onnx")
    report = converter.copy_weights(saved(made, tmp_path / "near2.onnx"), recipient, tmp_path / "out.onnx", data={"x": IMAGES})
    fidelity = report.numbers["fidelity"]
    assert fidelity["before"]["snr_db"] < 30 < fidelity["after"]["snr_db"]
    assert {p["conversion"] for p in report.numbers["pairs"]} == {"to int8 per channel", "to int32 on the grid of its layer"}
    plain = converter.copy_weights(donor, recipient, tmp_path / "random.onnx")
    assert any("compared on random inputs" in w for w in plain.warnings)


def test_weights_far_from_the_calibrated_ranges_are_refused(tmp_path: Path) -> None:
    far = network(1)
    far.graph.initializers["w"].const_value = ir.tensor(300 * weights(8, 3, 3, 3, seed=9), name="w")
    donor, recipient = saved(far, tmp_path / "d.onnx"), integer(50, tmp_path / "r.onnx")
    with pytest.raises(VerdictError, match="Were its activations calibrated for weights like these") as caught:
        converter.copy_weights(donor, recipient, tmp_path / "out.onnx", data={"x": IMAGES})
    assert caught.value.report is not None and not (tmp_path / "out.onnx").exists()


def test_integer_weights_come_back_as_float(tmp_path: Path) -> None:
    donor, recipient = integer(1, tmp_path / "d.onnx"), saved(network(50), tmp_path / "r.onnx")
    report = converter.copy_weights(donor, recipient, tmp_path / "out.onnx", data={"x": IMAGES})
    assert report.numbers["pairs"][0]["conversion"] == "from int8 per channel"
    assert report.numbers["fidelity"]["after"]["snr_db"] > 30


def changed(model: ir.Model, factor: float) -> ir.Model:
    """With all weights a bit larger."""
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy() * np.float32(factor), name=value.name)
    return model


def test_into_a_bundle(shipped: Path, case: dict[str, Path], tmp_path: Path) -> None:
    """The same weights give the same bytes; others a bundle that replays; the bundle itself stays."""
    before = {p.name: p.read_bytes() for p in shipped.iterdir()}
    same = converter.copy_weights(case["model"], shipped, tmp_path / "same")
    assert (tmp_path / "same" / "model.onnx").read_bytes() == before["model.onnx"]
    assert (tmp_path / "same" / "float.onnx").read_bytes() == before["float.onnx"]
    assert same.numbers["changed"] == []
    donor = saved(changed(tiny.mlp(), 1.01), tmp_path / "donor.onnx")
    report = converter.copy_weights(donor, shipped, tmp_path / "new", save_map=tmp_path / "map.json")
    assert len(report.numbers["changed"]) == 4 and (tmp_path / "map.json").is_file()
    assert converter.replay(tmp_path / "new").verdict is Verdict.YES
    assert (tmp_path / "new" / "model.onnx").read_bytes() != before["model.onnx"]
    back = converter.copy_weights(tmp_path / "new", case["model"], tmp_path / "float.onnx")
    assert back.numbers["fidelity"]["after"]["snr_db"] > 100
    assert {p.name: p.read_bytes() for p in shipped.iterdir()} == before


def test_a_bundle_takes_no_frozen_grid_and_no_name_of_its_own(shipped: Path, case: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a bundle gets fresh grids for its weights; frozen ones are kept in a file: .*model\.onnx"):
        converter.copy_weights(case["model"], shipped, tmp_path / "out", grid="frozen")
    with pytest.raises(UsageError, match="is read by this command"):
        converter.copy_weights(case["model"], shipped, shipped, force=True)
    assert left_over(tmp_path) == []


# --- looking, maps


def test_a_dry_run_writes_nothing_but_the_map_that_gives_the_same_pairs(pair: tuple[Path, Path, Path]) -> None:
    donor, recipient, out = pair
    report = converter.copy_weights(donor, recipient, save_map=out.with_name("map.json"))
    assert report.numbers["whole"] and left_over(out.parent) == ["donor.onnx", "map.json", "recipient.onnx"]
    told = json.loads(out.with_name("map.json").read_text())
    again = converter.copy_weights(donor, recipient, mapping=told, by="map")
    assert [(p["donor"], p["recipient"]) for p in again.numbers["pairs"]] == list(told.items())
    assert {p["by"] for p in again.numbers["pairs"]} == {"map"}


def test_what_is_left_is_refused_and_copied_in_part_only_if_that_was_asked_for(pair: tuple[Path, Path, Path]) -> None:
    donor, _, out = pair
    more = graph(ENDS, "h = Conv(x, p, q)\nr = Relu(h)\nk = Conv(r, u, o)\ng = GlobalAveragePool(k)\nf = Flatten(g)\ny = Gemm<transB=1>(f, v, s)",
                 p=weights(8, 3, 3, 3, seed=9), q=weights(8), u=weights(6, 8, 3, 3), o=weights(6), v=weights(5, 6), s=weights(5))
    recipient = saved(more, out.with_name("more.onnx"))
    look = converter.copy_weights(donor, recipient)
    assert not look.numbers["whole"] and {row["name"] for row in look.numbers["left"]["recipient"]} == {"u", "o", "s"}
    with pytest.raises(InputError, match=r"not every parameter has a partner, and nothing was written: v and v have one name, but the donor's is "
                       r"\[8, 5\], the recipient's \[6, 5\]; 1 parameter of the donor without a partner: c \[5\]; 3 parameters of the recipient "
                       r"without a partner: o \[6\], s \[5\], u \[6, 8, 3, 3\]\. A dry run shows all"):
        converter.copy_weights(donor, recipient, out, save_map=out.with_name("map.json"))
    assert left_over(out.parent) == ["donor.onnx", "more.onnx", "recipient.onnx"], "no map either"
    report = converter.copy_weights(donor, recipient, out, partial=True)
    assert report.numbers["changed"] == ["p", "q"] and len(report.warnings) >= 2


# --- what is refused

Break = Callable[[Path, Path], tuple[Any, Path]]


def truncated(donor: Path, recipient: Path) -> tuple[Any, Path]:
    donor.write_bytes(donor.read_bytes()[:200])
    return donor, recipient


def no_onnx(donor: Path, recipient: Path) -> tuple[Any, Path]:
    donor.write_text("weights")
    return donor, recipient


def truncated_recipient(donor: Path, recipient: Path) -> tuple[Any, Path]:
    recipient.write_bytes(recipient.read_bytes()[:200])
    return donor, recipient


def spoilt(donor: Path, recipient: Path) -> tuple[Any, Path]:
    model = network(1)
    model.graph.initializers["w"].const_value = ir.tensor(np.full((8, 3, 3, 3), np.nan, np.float32), name="w")
    return saved(model, donor), recipient


def overflowing(donor: Path, recipient: Path) -> tuple[Any, Path]:
    model = changed(network(1), 1e-3)
    model.graph.initializers["b"].const_value = ir.tensor(np.full(8, 1e9, np.float32), name="b")
    return saved(model, donor), integer(50, recipient)


def direct_codes(donor: Path, recipient: Path) -> tuple[Any, Path]:
    model = graph("(uint8[N,3,6,6] x) => (uint8 y)", "y = QLinearConv(x, s, z, w, s, z, s, z)", w=np.ones((4, 3, 3, 3), np.uint8),
                  s=np.float32(1), z=np.uint8(0))
    return donor, saved(model, recipient)


WRONG: dict[str, tuple[Break, dict[str, Any], type[ConverterError], str]] = {
    "donor missing": (lambda d, r: (d.with_name("nothing.onnx"), r), {}, InputError, r"no such file: .*nothing\.onnx"),
    "donor cut short": (truncated, {}, InputError, r"donor\.onnx is not an ONNX "),
    "donor no ONNX": (no_onnx, {}, InputError, r"donor\.onnx is not an ONNX "),
    "donor no model": (lambda d, r: (3, r), {}, UsageError, "cannot take a int as a model; known: keras.Model"),
    "recipient missing": (lambda d, r: (d, r.with_name("nothing.onnx")), {}, InputError, r"no such file: .*nothing\.onnx"),
    "recipient cut short": (truncated_recipient, {}, InputError, r"recipient\.onnx is not an ONNX "),
    "recipient of Keras": (lambda d, r: (d, r.with_suffix(".keras")), {}, UsageError, "is a Keras model; `converter transfer restore` brings"),
    "recipient a folder": (lambda d, r: (d, r.parent), {}, InputError, r"is not a bundle: no manifest\.json"),
    "codes taken directly": (direct_codes, {}, ConversionError, "takes integer codes directly.*quant_format=QDQ"),
    "NaN": (spoilt, {}, InputError, "w of the donor holds NaN or infinite values"),
    "bias too large": (overflowing, {"grid": "frozen"}, InputError, "does not fit 32 bits"),
    "a map to nothing": (lambda d, r: (d, r), {"mapping": {"zzz": "p"}}, UsageError, "map zzz=p matches no parameter of the donor"),
    "nothing selected": (lambda d, r: (d, r), {"exclude": ["*"]}, InputError, "nothing of the donor fits the recipient: no parameter is selected"),
    "no data": (lambda d, r: (d, r), {"data": "nothing.npz"}, InputError, r"nothing\.npz"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused_and_nothing_is_written(name: str, pair: tuple[Path, Path, Path]) -> None:
    make, options, error, text = WRONG[name]
    donor, recipient = make(*pair[:2])
    before = left_over(pair[2].parent)
    with pytest.raises(error, match=text):
        converter.copy_weights(donor, recipient, pair[2], save_map=pair[2].with_name("map.json"), **options)
    assert left_over(pair[2].parent) == before


def test_what_is_read_or_exists_is_not_written_over(pair: tuple[Path, Path, Path]) -> None:
    donor, recipient, out = pair
    kept = donor.read_bytes(), recipient.read_bytes()
    for place in (donor, recipient):
        with pytest.raises(UsageError, match="exists already; pass --force"):
            converter.copy_weights(donor, recipient, place)
        for more in ({"out": place}, {"out": out, "save_map": place}):
            with pytest.raises(UsageError, match="is read by this command; give another place to write to"):
                converter.copy_weights(donor, recipient, force=True, **more)
    with pytest.raises(UsageError, match=r"out\.onnx .*"):
        converter.copy_weights(donor, recipient, out, save_map=out)
    assert (donor.read_bytes(), recipient.read_bytes()) == kept and not out.exists()
    out.write_text("here")
    with pytest.raises(UsageError, match="exists already"):
        converter.copy_weights(donor, recipient, out)
    converter.copy_weights(donor, recipient, out, force=True)
    assert out.stat().st_size > 1000


def test_into_a_recipient_with_batchnorm_of_its_own(tmp_path: Path) -> None:
    """The recipient keeps the statistics, its kernel takes up the rest; and gets back what it had."""
    donor, recipient, out = saved(network(1), tmp_path / "donor.onnx"), saved(batchnorm(7), tmp_path / "bn.onnx"), tmp_path / "out.onnx"
    report = converter.copy_weights(donor, recipient, out)
    np.testing.assert_allclose(run(out), run(donor), rtol=0, atol=1e-5 * np.ptp(run(donor)))
    before, after = (io.load(path).graph.initializers for path in (recipient, out))
    same = {name for name in before if np.array_equal(before[name].const_value.numpy(), after[name].const_value.numpy())}
    assert same == {"gamma", "mean", "var"} and sorted(report.numbers["changed"]) == ["beta", "c", "v", "w"]
    converter.copy_weights(recipient, out, tmp_path / "back.onnx")
    assert io.load(tmp_path / "back.onnx").graph.initializers["w"].const_value.numpy().tobytes() == before["w"].const_value.numpy().tobytes()


def test_a_channel_that_batchnorm_shuts_cannot_take_weights(tmp_path: Path) -> None:
    shut = batchnorm(7)
    gamma = shut.graph.initializers["gamma"]
    numbers = gamma.const_value.numpy().copy()  # type: ignore[union-attr]
    numbers[3] = 0
    gamma.const_value = ir.Tensor(numbers, name="gamma")
    donor, recipient = saved(network(1), tmp_path / "donor.onnx"), saved(shut, tmp_path / "bn.onnx")
    before = left_over(tmp_path)
    with pytest.raises(ConversionError, match="gamma"):
        converter.copy_weights(donor, recipient, tmp_path / "out.onnx")
    assert left_over(tmp_path) == before


def test_a_share_through_batchnorm(tmp_path: Path) -> None:
    donor, recipient, out = saved(network(1), tmp_path / "donor.onnx"), saved(batchnorm(7), tmp_path / "bn.onnx"), tmp_path / "out.onnx"
    converter.copy_weights(donor, recipient, out, factor=0.25)
    own = {p.role + p.family: p.read() for p in parameters.of(cleaned(batchnorm(7)))}
    made = {p.role + p.family: p.read() for p in parameters.of(cleaned(io.load(out)))}
    theirs = {p.role + p.family: p.read() for p in parameters.of(network(1))}
    assert own.keys() == made.keys() == theirs.keys()
    for name in own:
        np.testing.assert_allclose(made[name], 0.25 * theirs[name] + 0.75 * own[name], atol=1e-5)
