"""What is refused for what it holds, and what is converted; the same laws for arrays, .npz files and generators."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converter.data import open_source
from converter.errors import InputError
from converter.spec.signature import TensorInfo

IMAGE = TensorInfo("image", (None, 4, 4, 1), "float32")
IDS = TensorInfo("ids", ("batch", "length"), "int32")


def as_array(tmp_path, arrays):
    return arrays


def as_npz(tmp_path, arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def as_generator(tmp_path, arrays):
    return lambda: iter([arrays])


KINDS = pytest.mark.parametrize("kind", [as_array, as_npz, as_generator])


def read(data, inputs, labels=False, size=4):
    return list(open_source(data, inputs, labels=labels).batches(size))


def images(n=6, dtype="float32"):
    return np.random.default_rng(0).uniform(0, 1, (n, 4, 4, 1)).astype(dtype)


@KINDS
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_floats_become_float32(tmp_path, kind, dtype):
    x = images(dtype=dtype)
    got = np.concatenate([b.inputs["image"] for b in read(kind(tmp_path, {"x": x}), [IMAGE])])
    assert got.dtype == np.dtype("float32")
    np.testing.assert_array_equal(got, x.astype("float32"))


def test_bfloat16_is_a_float():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.array([[0.5], [3.0], [np.nan]], ml_dtypes.bfloat16)
    info = [TensorInfo("v", (None, 1), "float32")]
    assert read(x[:2], info)[0].inputs["v"].tolist() == [[0.5], [3.0]]
    with pytest.raises(InputError, match=r"received NaN in sample 2$"):
        read(x, info)
    with pytest.raises(InputError, match=r"real numbers do not go into an integer input; received bfloat16"):
        read(x, [TensorInfo("v", (None, 1), "int32")])


@KINDS
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "bool", ">i2"])
def test_integers_that_fit_become_the_models_dtype(tmp_path, kind, dtype):
    ids = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    (batch,) = read(kind(tmp_path, {"ids": ids}), [IDS])
    assert batch.inputs["ids"].dtype == np.int32
    np.testing.assert_array_equal(batch.inputs["ids"], ids.astype("int32"))


@pytest.mark.parametrize(("dtype", "given", "bad"), [
    ("int32", "int64", 2**31), ("int32", "int64", -(2**31) - 1), ("int64", "uint64", 2**63), ("uint8", "int32", -1), ("uint8", "int32", 256),
    ("int8", "uint8", 128), ("bool", "int32", 2)])
@KINDS
def test_integers_that_do_not_fit_are_refused(tmp_path, kind, dtype, given, bad):
    with pytest.raises(InputError, match=f"(?s)input 'v'.*do not fit {dtype}.*received {given} from .*{bad}"):
        read(kind(tmp_path, {"v": np.array([0, 1, bad], given)}), [TensorInfo("v", (None,), dtype)])


@pytest.mark.parametrize(("dtype", "given", "edge"), [("int32", "int64", 2**31 - 1), ("int32", "int64", -(2**31)), ("uint8", "int32", 255),
                                                      ("bool", "int32", 1)])
def test_the_edge_of_a_range_fits(dtype, given, edge):
    (batch,) = read({"v": np.array([0, 1, edge], given)}, [TensorInfo("v", (None,), dtype)])
    assert int(batch.inputs["v"][2]) == edge


@KINDS
@pytest.mark.parametrize(("arrays", "inputs", "text"), [
    ({"x": np.zeros((2, 4, 4, 1), "uint8")}, [IMAGE], r'astype\("float32"\).*same as in training.*received uint8 \[2, 4, 4, 1\].*image float32 \[\?'),
    ({"x": np.zeros((2, 4, 4, 1), "bool")}, [IMAGE], "astype.*received bool"),
    ({"ids": np.zeros((2, 3), "float32")}, [IDS], r"real numbers do not go into an integer input; received float32 \[2, 3\]"),
    ({"x": np.full((2, 4, 4, 1), "a")}, [IMAGE], "only numbers can be fed; received <U1"),
    ({"x": np.zeros((2, 4, 4, 1), "complex64")}, [IMAGE], "only numbers can be fed; received complex64"),
    ({"x": np.zeros((2, 4, 4, 1), "M8[s]")}, [IMAGE], "only numbers can be fed; received datetime64"),
    ({"x": np.zeros((2, 4, 4), "float32")}, [IMAGE], r"array\[\.\.\., None\]; received float32 \[2, 4, 4\]"),
    ({"x": np.zeros((4, 4, 1), "float32")}, [IMAGE], r"axis 0 is the batch.*received float32 \[4, 4, 1\]"),
    ({"x": np.zeros((2, 4, 5, 1), "float32")}, [IMAGE], r"'image': wrong shape; received float32 \[2, 4, 5, 1\], the model wants image "),
    ({"x": np.zeros((), "float32")}, [IMAGE], r"wrong shape.*received float32 \[\]"),
    ({"images": np.zeros((2, 4, 4, 1), "float32"), "y": np.zeros(2)}, [IMAGE],
     r"no key 'image' \(or 'x'\); received the keys 'images', 'y'; .*image float32"),
    ({"x": np.zeros((2, 4, 4, 1), "float32")}, [IMAGE, IDS], "no key 'ids', 'image'; received the keys 'x'; .*image .* and ids"),
    ({"image": np.zeros((2, 4, 4, 1), "float32"), "ids": np.zeros((3, 1), "int32")}, [IMAGE, IDS],
     "different sample counts; received image 2, ids 3"),
    ({"x": np.zeros((2, 4, 4, 1), "float32"), "y": np.zeros(3, int)}, [IMAGE], "different sample counts; received image 2, y 3"),
    ({"x": np.zeros((0, 4, 4, 1), "float32")}, [IMAGE], "received no samples; the model wants image"),
])
def test_refused_with_one_message(tmp_path, kind, arrays, inputs, text):
    with pytest.raises(InputError, match=text):
        read(kind(tmp_path, arrays), inputs)


@pytest.mark.parametrize("kind", [as_array, as_npz])
@pytest.mark.parametrize("arrays", [{"x": np.zeros((0, 4, 4, 1), "float32")}, {"x": np.zeros((2, 4, 4, 1), "uint8")},
                                    {"x": np.zeros((2, 4, 4, 1), "float32"), "y": np.zeros(3, int)}])
def test_what_headers_tell_is_refused_when_it_is_opened(tmp_path, kind, arrays):
    with pytest.raises(InputError):
        open_source(kind(tmp_path, arrays), [IMAGE])


@KINDS
@pytest.mark.parametrize(("value", "text"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf"), (1e300, "a number beyond float32")])
@pytest.mark.parametrize("sample", [0, 5, 6])
def test_numbers_that_are_not_finite_are_refused_with_input_and_sample(tmp_path, kind, value, text, sample):
    x = images(7, "float64")
    x[sample, 2, 1, 0] = value
    with pytest.raises(InputError, match=f"input 'image'.*finite; received {text} in sample {sample}$"):
        read(kind(tmp_path, {"x": x}), [IMAGE], size=3)


def test_sample_numbers_run_on_over_the_batches_of_a_generator():
    x = images(7)
    x[5] = np.nan
    with pytest.raises(InputError, match=r"from sample 4 on.*received NaN in sample 5$"):
        read(lambda: iter([x[:4], x[4:]]), [IMAGE], size=100)
    with pytest.raises(InputError, match=r"from sample 4 on: wrong shape.*received float32 \[3, 4, 3, 1\]"):
        read(lambda: iter([x[:4], x[4:, :, :3]]), [IMAGE])


@KINDS
@pytest.mark.parametrize(("y", "dtype"), [
    (np.arange(6, dtype="uint8"), "int64"), (np.array([[1, -1], [2, 3]] * 3, "int32"), "int64"), (np.eye(6, dtype="float64"), "float32"),
    (np.zeros((6, 3), "float16"), "float32"), (np.ones(6, bool), "int64")])
def test_labels_keep_shape_and_values(tmp_path, kind, y, dtype):
    batches = read(kind(tmp_path, {"x": images(), "y": y}), [IMAGE], labels=True)
    got = np.concatenate([b.labels for b in batches])
    assert got.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(got, y)


@KINDS
@pytest.mark.parametrize(("arrays", "text"), [
    ({}, "labels are needed here: the key 'y'"),
    ({"y": np.array(["cat"] * 6)}, "class numbers.*received <U3"),
    ({"y": np.array(3)}, r"class numbers.*received int64 \[\]"),
    ({"y": np.arange(5)}, "different sample counts; received image 6, y 5"),
    ({"y": np.array([0, 1, np.nan, 0, 1, 0])}, "labels 'y'.*received NaN in sample 2"),
])
def test_labels_that_are_required_are_checked(tmp_path, kind, arrays, text):
    with pytest.raises(InputError, match=text):
        read(kind(tmp_path, {"x": images(), **arrays}), [IMAGE], labels=True)


@KINDS
@pytest.mark.parametrize("y", [np.array(["cat"] * 6), np.array(3)])
def test_labels_that_nobody_asked_for_may_be_anything(tmp_path, kind, y):
    assert all(b.labels is None for b in read(kind(tmp_path, {"x": images(), "y": y}), [IMAGE]))


@KINDS
def test_labels_that_nobody_asked_for_are_passed_on(tmp_path, kind):
    assert read(kind(tmp_path, {"x": images(), "y": np.arange(6)}), [IMAGE])[1].labels.tolist() == [4, 5]


@KINDS
def test_an_input_may_be_called_y(tmp_path, kind):
    data = kind(tmp_path, {"y": np.ones((2, 1), "float32")})
    (batch,) = read(data, [TensorInfo("y", (None, 1), "float32")])
    assert (list(batch.inputs), batch.labels) == (["y"], None)
    with pytest.raises(InputError, match="labels are needed"):
        read(data, [TensorInfo("y", (None, 1), "float32")], labels=True)


@KINDS
def test_fixed_batch_axis(tmp_path, kind):
    data = kind(tmp_path, {"x": np.ones((6, 1), "float32")})
    fixed = [TensorInfo("x", (3, 1), "float32")]
    assert [len(b) for b in read(data, fixed, size=3)] == [3, 3]
    with pytest.raises(InputError, match=r"fixed: read batches of 3.*received a batch of 2, the model wants x float32 \[3, 1\]"):
        open_source(data, fixed).batches(2)
    with pytest.raises(InputError, match=r"fixed: read batches of 4.*received a batch of 2"):
        read(data, [TensorInfo("x", (4, 1), "float32")], size=4)


@pytest.mark.parametrize("inputs", [[], [TensorInfo("x", (), "float32")]])
def test_a_model_needs_inputs_with_a_batch_axis(inputs):
    with pytest.raises(InputError, match="a model needs inputs with a batch axis; received"):
        open_source(np.zeros(3), inputs)


@given(hnp.arrays("float64", hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_float_conversion_is_numpys_or_an_error(x):
    with np.errstate(over="ignore"):
        converted = x.astype("float32")
    info = [TensorInfo("v", (None, None), "float32")]
    if np.isfinite(converted).all():
        np.testing.assert_array_equal(np.concatenate([b.inputs["v"] for b in read(x, info)]), converted)
    else:
        first = int(np.argmin(np.isfinite(converted).all(axis=1)))
        with pytest.raises(InputError, match=f"in sample {first}$"):
            read(x, info)


def test_batches_are_in_c_order_and_small_arrays_are_not_copied():
    x = images(8)
    assert np.shares_memory(read(x, [IMAGE])[1].inputs["image"], x)
    turned = np.asfortranarray(x.repeat(2, -1))
    (batch,) = read(turned, [TensorInfo("image", (None, 4, 4, 2), "float32")], size=8)
    assert batch.inputs["image"].flags.c_contiguous
    np.testing.assert_array_equal(batch.inputs["image"], turned)
