"""``graft`` from files to a file: what is proved before it is written, what it is written with, and what is refused with nothing written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import converter
from converter.errors import InputError, ParityError, UsageError
from converter.graph import edit, io
from converter.ship import grafting
from converter.verify.session import Session
from tests.arrays import load
from tests.quantize.graphs import graph, weights
from tests.ship import tiny
from tests.transfer.grafting import backbone, head, names, sequence

MODELS = tiny.ROOT / "models"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    io.save(head(), tmp_path / "head.onnx")
    io.save(backbone(), tmp_path / "backbone.onnx")
    return tmp_path / "head.onnx", tmp_path / "backbone.onnx"


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_file_says_what_it_is_made_of(files: tuple[Path, Path], tmp_path: Path) -> None:
    before = [path.read_bytes() for path in files]
    report = converter.graft(*files, tmp_path / "out.onnx", at="features")
    model = io.load(tmp_path / "out.onnx")
    told = json.loads(model.metadata_props["converter.graft"])
    assert told == {"take": "head", "transpose": None,
                    "donor": {"file": "head.onnx", "sha256": {"head.onnx": sha(files[0])}, "seam": "f"},
                    "recipient": {"file": "backbone.onnx", "sha256": {"backbone.onnx": sha(files[1])}, "seam": "features"}}
    assert report.numbers["record"] == told and report.numbers["bytes"] == (tmp_path / "out.onnx").stat().st_size
    assert [path.read_bytes() for path in files] == before
    x = np.random.default_rng(3).normal(size=(3, 5)).astype(np.float32)
    np.testing.assert_allclose(Session(tmp_path / "out.onnx").run({"x": x})["y"], sequence(backbone(), head(), "features", "f")["y"], atol=1e-6)
    assert report.numbers["parity"]["unfused"]["y"]["max_abs"] == 0 and report.to_json()


def test_the_same_order_gives_the_same_bytes_and_a_graft_of_a_graft_keeps_both_records(files: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("one.onnx", "two.onnx"):
        converter.graft(*files, tmp_path / name, at="features")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    io.save(graph("(float[N, 3] y) => (float[N, 3] p)", "p = Softmax(y)"), tmp_path / "soft.onnx")
    converter.graft(tmp_path / "soft.onnx", tmp_path / "one.onnx", tmp_path / "three.onnx", at="y")
    told = json.loads(io.load(tmp_path / "three.onnx").metadata_props["converter.graft"])
    assert told["recipient"]["graft"]["donor"]["file"] == "head.onnx" and told["recipient"]["file"] == "one.onnx"


def test_data_prove_it_and_tell_before_and_after(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The head of the same graph with other weights: outputs are compared with what they were."""
    donor = backbone()
    value = donor.graph.initializers["c"]
    assert value.const_value is not None
    edit.set_numbers(value, value.const_value.numpy() + np.float32(0.125))
    io.save(donor, tmp_path / "donor.onnx")
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32))
    report = converter.graft(tmp_path / "donor.onnx", files[1], tmp_path / "out.onnx", at="h", donor_at="h", data=tmp_path / "x.npz")
    assert report.numbers["parity"]["fused"]["features"]["samples"] == 40
    assert report.numbers["before"]["features"]["max_abs"] == pytest.approx(0.125, rel=1e-5)
    assert any(line.startswith("output 'features' against the recipient as it was: ") for line in report.done)


@pytest.mark.parametrize(("change", "error", "says"), [
    ({"donor": "none.onnx"}, InputError, "no such file: .*none.onnx"),
    ({"recipient": "cut.onnx"}, InputError, "cut.onnx is not an ONNX"),
    ({"donor": "model.keras"}, InputError, "the donor .*model.keras is a Keras file; .*converter export .*model.keras -o model.onnx"),
    ({"donor": "."}, InputError, "is not a bundle: no manifest.json"),
    ({"at": "feature"}, UsageError, "the recipient has no tensor, node or layer called 'feature'; close to it: features"),
    ({"donor_at": "none"}, UsageError, "the donor has no tensor"),
    ({"at": "h"}, UsageError, r"the backbone gives \[N, 7\], the head takes \[M, 6\]; the width of axis 1 is 7 and must be 6"),
    ({"at": "x"}, UsageError, "nothing of it would be left"),
    ({"take": "tail"}, UsageError, "take must be one of head, backbone"),
    ({"data": "none.npz"}, InputError, "none.npz"),
    ({"out": "head.onnx", "force": True}, UsageError, "the result cannot replace .*head.onnx, which it is made from"),
    ({"out": "head.onnx"}, UsageError, "head.onnx exists already; pass --force"),
    ({"donor": "backbone.onnx", "at": "r", "donor_at": "h"}, UsageError, "a cyclic graft"),
])
def test_what_is_refused_writes_nothing(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], error: type[Exception], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cut.onnx").write_bytes(files[0].read_bytes()[:200])
    Path("model.keras").touch()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    order = {"donor": "head.onnx", "recipient": "backbone.onnx", "out": "out.onnx", "at": "features", **change}
    with pytest.raises(error, match=says):
        converter.graft(order.pop("donor"), order.pop("recipient"), order.pop("out"), **order)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_wrong_graft_is_not_written(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = grafting.graft

    def wrong(*arguments: Any, **options: Any) -> Any:
        made = right(*arguments, **options)
        value = made.model.graph.initializers["donor/w"]
        edit.set_numbers(value, value.const_value.numpy() * np.float32(1.01))
        return made

    monkeypatch.setattr(grafting, "graft", wrong)
    with pytest.raises(ParityError):
        converter.graft(*files, tmp_path / "out.onnx", at="features")
    assert not (tmp_path / "out.onnx").exists()


def test_weights_in_a_file_beside_it_are_part_of_the_record_and_stay_where_they_are(files: tuple[Path, Path], tmp_path: Path) -> None:
    wide = graph("(float[N, 6] f) => (float[N, 90] y)", "y = Gemm(f, w)", w=weights(6, 90))
    io.save_external(wide, tmp_path / "wide.onnx")
    assert (tmp_path / "wide.onnx.data").is_file()
    converter.graft(tmp_path / "wide.onnx", files[1], tmp_path / "out.onnx", at="features")
    told = json.loads(io.load(tmp_path / "out.onnx").metadata_props["converter.graft"])
    assert told["donor"]["sha256"] == {"wide.onnx": sha(tmp_path / "wide.onnx"), "wide.onnx.data": sha(tmp_path / "wide.onnx.data")}


def test_a_large_graft_has_its_weights_beside_it(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "PROTOBUF_LIMIT", 1 << 10)
    wide = graph("(float[N, 6] f) => (float[N, 90] y)", "h = Gemm(f, w)\ny = Relu(h)", w=weights(6, 90))
    io.save(wide, tmp_path / "wide.onnx")
    converter.graft(tmp_path / "wide.onnx", files[1], tmp_path / "out.onnx", at="features")
    assert (tmp_path / "out.onnx.data").stat().st_size >= 6 * 90 * 4
    assert names(io.load(tmp_path / "out.onnx")) == (["x"], ["y"])


# Graphs of others.

def torch_like() -> ir.Model:
    """Names, layouts and constants as PyTorch's exporter writes them: transB, Constant nodes, a shape computed from a tensor."""
    names_ = {"layer1.0.weight": weights(6, 3, 3, 3), "layer1.0.bias": weights(6), "fc.weight": weights(10, 6, seed=2), "fc.bias": weights(10)}
    model = io.from_text("""
        <ir_version: 7, opset_import: ["" : 13]>
        main_graph (float[batch_size, 3, 8, 8] input, float[6, 3, 3, 3] k, float[6] b, float[10, 6] fw, float[10] fb)
                => (float[batch_size, 10] output) {
            c = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(input, k, b)
            r = Relu(c)
            p = GlobalAveragePool(r)
            s = Shape(p)
            zero = Constant<value = int64 {0}>()
            g = Gather(s, zero)
            axes = Constant<value = int64[1] {0}>()
            u = Unsqueeze(g, axes)
            rest = Constant<value = int64[1] {-1}>()
            t = Concat<axis = 0>(u, rest)
            flat = Reshape(p, t)
            output = Gemm<transB = 1>(flat, fw, fb)
        }""")
    for value, (name, numbers) in zip(list(model.graph.inputs)[1:], names_.items(), strict=True):
        model.graph.inputs.remove(value)
        value.name = name
        value.const_value = ir.tensor(numbers, name=name)
        model.graph.register_initializer(value)
    return model


def eight_bits(folder: Path, name: str, **options: Any) -> Path:
    """The graph of PyTorch's kind as onnxruntime's own quantizer makes it."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.left = [{"input": rng.normal(size=(2, 3, 8, 8)).astype(np.float32)} for _ in range(4)]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop() if self.left else None

    quantize_static(folder / "torch.onnx", folder / f"{name}.onnx", Reader(), **options)
    return folder / f"{name}.onnx"


@pytest.mark.parametrize(("kind", "at"), [("QDQ", "r"), ("QDQ", "p"), ("contrib", "p"), ("dedicated", "r"), ("QOperator", "p"),
                                          ("QOperator", "c_quantized"), ("float", "r"), ("float", "flat")])
def test_a_graph_of_pytorchs_kind_in_float_and_as_onnxruntime_quantizes_it(kind: str, at: str, tmp_path: Path) -> None:
    """With itself, and the backbone of its float twin under its head; equal to the parts in sequence, fused and unfused."""
    from onnxruntime.quantization import QuantFormat, QuantType

    options: dict[str, dict[str, Any]] = {
        "QDQ": {"per_channel": True}, "QOperator": {"quant_format": QuantFormat.QOperator},
        "dedicated": {"extra_options": {"DedicatedQDQPair": True}},
        "contrib": {"activation_type": QuantType.QUInt16, "extra_options": {"UseQDQContribOps": True}}}
    io.save(torch_like(), tmp_path / "torch.onnx")
    file = tmp_path / "torch.onnx" if kind == "float" else eight_bits(tmp_path, kind, **options[kind])
    x = {"input": np.random.default_rng(5).normal(size=(4, 3, 8, 8)).astype(np.float32)}
    for take in ("head", "backbone"):
        report = converter.graft(file, file, tmp_path / "same.onnx", at=at, donor_at=at, take=take, force=True)
        assert ("one pair is kept" in report.to_text()) == (kind != "float")
        for optimise in (True, False):
            np.testing.assert_allclose(Session(tmp_path / "same.onnx", optimise=optimise).run(x)["output"],
                                       Session(file, optimise=optimise).run(x)["output"], atol=1e-6)
    report = converter.graft(tmp_path / "torch.onnx", file, tmp_path / "under.onnx", at=at, donor_at=at.split("_")[0].replace("c", "r"),
                             take="backbone")
    assert all(report.numbers["parity"][mode]["output"]["max_abs"] == 0 for mode in ("fused", "unfused"))
    assert ("onto the grid of the head" in report.to_text()) == (kind != "float")


def test_a_new_head_on_a_backbone_of_an_older_opset(tmp_path: Path) -> None:
    io.save(torch_like(), tmp_path / "torch.onnx")
    io.save(graph("(float[N, 6] f) => (float[N, 3] y)", "y = Gemm(f, w)", w=weights(6, 3)), tmp_path / "head.onnx")
    report = converter.graft(tmp_path / "head.onnx", tmp_path / "torch.onnx", tmp_path / "out.onnx", at="flat")
    assert "the recipient lifted from opset 13 to 18" in report.done and report.numbers["opset"] == 18
    assert report.numbers["parity"]["unfused"]["y"]["max_abs"] == 0 and names(io.load(tmp_path / "out.onnx")) == (["input"], ["y"])


# What must be seen: Fashion-MNIST.

@pytest.fixture(scope="module")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Backbone and head of the trained model, exported and quantized apart from each other, and a backbone of another seed."""
    import keras

    folder = tmp_path_factory.mktemp("fashion")
    model = keras.models.load_model(MODELS / "fashion_cnn.keras")
    features = keras.Input(model.get_layer("pool").output.shape[1:], name="features")
    parts = {"backbone": keras.Model(model.input, model.get_layer("pool").output), "head": keras.Model(features, model.get_layer("logits")(features))}
    images = load(MODELS / "fashion_calib.npz")["x"][:64]
    np.savez(folder / "images.npz", image=load(MODELS / "fashion_eval.npz")["x"][:200])
    calib = {"backbone": {"image": images}, "head": {"features": parts["backbone"].predict(images, verbose=0)}}
    for name, part in parts.items():
        converter.export(part, folder / f"{name}.onnx")
        converter.quantize(folder / f"{name}.onnx", calib[name], path=folder / f"{name}8.onnx")
    return folder


@pytest.mark.parametrize("first", ["", "8"])
@pytest.mark.parametrize("second", ["", "8"])
def test_a_ten_class_head_on_a_backbone_shipped_apart(fashion: Path, first: str, second: str, tmp_path: Path) -> None:
    """Output equals running the parts in sequence; of integer parts within one step of the grid at the seam, as the head passes it on."""
    files = [fashion / f"{name}{kind}.onnx" for name, kind in (("head", second), ("backbone", first))]
    report = converter.graft(*files, tmp_path / "out.onnx", at="pool", data=fashion / "images.npz")
    x = {"image": load(fashion / "images.npz")["image"]}
    for optimise in (True, False):
        backbone, head, joined = (Session(path, optimise=optimise) for path in (files[1], files[0], tmp_path / "out.onnx"))
        (seam,) = backbone.run(x).values()
        wanted, got = head.run({"features": seam})["logits"], joined.run(x)["logits"]
        np.testing.assert_allclose(got, wanted, atol=1e-5 * np.ptp(wanted))
        assert np.ptp(wanted) > 5
    assert report.numbers["parity"]["fused"]["logits"]["samples"] == 200
    text = report.to_text()
    assert ("requantized" in text) == (first == second == "8") and ("onto the grid of the head" in text) == (second == "8" and not first)


@pytest.mark.parametrize(("donor", "says"), [
    ("y = Gemm(f, w)|float[N, 128] f", "the width of axis 1 is 192 and must be 128"),
    ("y = Relu(f)|float16[N, 192] f", "the backbone gives float, the head takes float16"),
    ("y = Relu(f)|float[N, 192, 7, 7] f", "2 axes are not 4: cut the backbone before what flattens or pools"),
    ("y = Relu(f)|float[N, 7, 7, 192] f", "--transpose channels-last puts a transpose between them"),
])
def test_what_does_not_fit_the_shipped_backbone_is_explained(fashion: Path, donor: str, says: str, tmp_path: Path) -> None:
    body, end = donor.split("|")
    kind = end.split("[")[0]
    last = "float[N, 10]" if "Gemm" in body else end.split(" f")[0]
    io.save(graph(f"({end}) => ({last} y)", body, w=weights(128, 10)), tmp_path / "donor.onnx")
    at = "block3_point_relu6" if "7, 7, 192" in end else "pool"
    assert kind
    for recipient in ("backbone.onnx", "backbone8.onnx"):
        with pytest.raises(UsageError, match=says):
            converter.graft(tmp_path / "donor.onnx", fashion / recipient, tmp_path / "out.onnx", at=at)
    assert not (tmp_path / "out.onnx").exists()


def test_the_same_backbone_under_the_shipped_head_changes_nothing(fashion: Path, tmp_path: Path) -> None:
    converter.graft(fashion / "head8.onnx", fashion / "backbone8.onnx", tmp_path / "one.onnx", at="pool")
    report = converter.graft(fashion / "backbone8.onnx", tmp_path / "one.onnx", tmp_path / "two.onnx", at="block2_add", donor_at="block2_add",
                             take="backbone", data=fashion / "images.npz")
    assert report.numbers["before"]["logits"]["max_abs"] == 0 and "one pair is kept" in report.to_text()


def test_a_bundle_stands_for_its_integer_graph(quick: None, fashion: Path, tmp_path: Path) -> None:
    calib = {"image": load(MODELS / "fashion_calib.npz")["x"][:32]}
    shipped = converter.ship(fashion / "backbone.onnx", tmp_path / "bundle", calib=calib)
    report = converter.graft(fashion / "head8.onnx", tmp_path / "bundle", tmp_path / "out.onnx", at="pool")
    assert report.numbers["record"]["recipient"]["file"] == "bundle/model.onnx"
    assert report.numbers["record"]["recipient"]["sha256"]["bundle/model.onnx"] == sha(shipped.model)
    assert any(n.op_type == "QuantizeLinear" for n in io.load(tmp_path / "out.onnx").graph)
    shipped.model.write_bytes(shipped.model.read_bytes()[:-1])
    with pytest.raises(InputError):
        converter.graft(fashion / "head8.onnx", tmp_path / "bundle", tmp_path / "out2.onnx", at="pool")


# The command line.

def test_the_command_line(files: tuple[Path, Path], tmp_path: Path) -> None:
    done = tiny.run("transfer", "graft", *files, "--at", "features", "-o", tmp_path / "out.onnx")
    assert done.exit_code == 0 and "the recipient up to 'features' feeds the donor behind 'f'" in done.stdout
    tiny.failed(tiny.run("transfer", "graft", *files, "--at", "features", "-o", tmp_path / "out.onnx"), 2, "exists already; pass --force")
    told = tiny.run("transfer", "graft", *files, "--at", "features", "-o", tmp_path / "out.onnx", "--force", "--json")
    assert tiny.only_json(told.stdout)["numbers"]["take"] == "head"
    tiny.failed(tiny.run("transfer", "graft", *files, "--at", "h", "-o", tmp_path / "b.onnx"), 2, "the width of axis 1")
    tiny.failed(tiny.run("transfer", "graft", files[0], "--at", "h", "-o", tmp_path / "b.onnx"), 2, "Missing argument 'RECIPIENT'")
    assert not (tmp_path / "b.onnx").exists() and not tiny.leftovers(tmp_path)
