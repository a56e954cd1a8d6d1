"""Reading .npz files as a stream: the same values as numpy, never a pickle, never more than a few rows in memory."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from converter.data import fingerprint, open_source
from converter.data import member as member_module
from converter.errors import InputError
from converter.spec.signature import TensorInfo

X = TensorInfo("x", (None, 3), "float32")


def rows(n=10):
    return np.arange(3 * n, dtype="float32").reshape(n, 3)


def read(path, inputs=(X,), labels=False, size=4):
    return list(open_source(path, inputs, labels=labels).batches(size))


def column(batches, name="x"):
    return np.concatenate([b.inputs[name] for b in batches])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("size", [1, 4, 10, 99])
def test_same_values_as_numpy(tmp_path, save, size):
    save(tmp_path / "a.npz", x=rows(), y=np.arange(10))
    source = open_source(str(tmp_path / "a.npz"), [X], labels=True)
    assert (source.count, source.name) == (10, str(tmp_path / "a.npz"))
    for _ in range(2):
        batches = list(source.batches(size))
        np.testing.assert_array_equal(column(batches), rows())
        np.testing.assert_array_equal(np.concatenate([b.labels for b in batches]), np.arange(10))


def test_several_inputs_by_name_and_keys_that_nobody_wants(tmp_path):
    np.savez(tmp_path / "a.npz", meta=np.array([{}], object), b=rows() + 1, a=rows())
    batches = read(tmp_path / "a.npz", [TensorInfo("a", (None, 3), "float32"), TensorInfo("b", (None, 3), "float32")])
    np.testing.assert_array_equal(column(batches, "b") - column(batches, "a"), np.ones((10, 3)))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_fortran_order_is_turned(tmp_path, save):
    save(tmp_path / "a.npz", x=np.asfortranarray(rows()), y=np.asfortranarray(np.arange(20).reshape(10, 2)))
    batches = read(tmp_path / "a.npz", labels=True)
    np.testing.assert_array_equal(column(batches), rows())
    np.testing.assert_array_equal(np.concatenate([b.labels for b in batches]), np.arange(20).reshape(10, 2))
    assert all(b.inputs["x"].flags.c_contiguous for b in batches)


def test_fortran_order_beyond_the_limit_is_refused_when_opened(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(rows()))
    monkeypatch.setattr(member_module, "FORTRAN_LIMIT", 119)
    with pytest.raises(InputError, match=r"key 'x': in Fortran order, save it with numpy.ascontiguousarray; received 120 bytes"):
        open_source(tmp_path / "a.npz", [X])


class Trap:
    """Unpickling it would be noticed."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def test_python_objects_are_refused_by_name_and_never_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([Trap(), Trap()], object))
    with pytest.raises(InputError, match=r"key 'x': Python objects are pickled code and are never loaded.*received dtype object"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=rows(2), y=np.array([Trap(), Trap()], object))
    with pytest.raises(InputError, match="key 'y': Python objects"):
        read(tmp_path / "b.npz", labels=True)
    assert read(tmp_path / "b.npz")[0].labels is None


def test_structured_arrays_are_refused(tmp_path):
    with pytest.warns(UserWarning, match="format 3.0"):
        np.savez(tmp_path / "a.npz", x=np.zeros((2, 3), [("ж", "f4")]))
    with pytest.raises(InputError, match=r"key 'x': not an array of numbers; received an .npy of version 3"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.zeros((2, 3), [("a", "f4")]))
    with pytest.raises(InputError, match="only numbers can be fed"):
        read(tmp_path / "b.npz")


def member_bytes(array):
    buffer = io.BytesIO()
    npy.write_array(buffer, array)
    return buffer.getvalue()


def test_headers_of_version_two_are_read(tmp_path):
    buffer = io.BytesIO()
    npy.write_array(buffer, rows(), version=(2, 0))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", buffer.getvalue())
    np.testing.assert_array_equal(column(read(tmp_path / "a.npz")), rows())


@pytest.mark.parametrize(("content", "text"), [
    (member_bytes(rows())[:-4], "damaged, its header tells of 248 bytes; received 244"),
    (member_bytes(rows()) + b"1234", "damaged, its header tells of 248 bytes; received 252"),
    (member_bytes(rows())[:60], "damaged, or not an array"),
    (b"", "damaged, or not an array"),
    (pickle.dumps(Trap()), "damaged, or not an array"),
])
def test_damaged_members(tmp_path, content, text):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(InputError, match=f"key 'x': {text}"):
        open_source(tmp_path / "a.npz", [X])


@pytest.mark.parametrize(("content", "text"), [
    (b"", "not a .npz file.*empty"), (b"\x89HDF\r\n\x1a\n" * 9, "not a .npz file.*starts with"), (member_bytes(rows()), "a single .npy array")])
def test_not_a_zip(tmp_path, content, text):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=f"a.npz: {text}.*; received"):
        open_source(tmp_path / "a.npz", [X])


def test_missing_and_unreadable(tmp_path):
    with pytest.raises(InputError, match=r"none.npz: no such file; received"):
        open_source(tmp_path / "none.npz", [X])
    (tmp_path / "loop.npz").symlink_to(tmp_path / "loop.npz")
    with pytest.raises(InputError, match=r"loop.npz: cannot be read; received"):
        open_source(tmp_path / "loop.npz", [X])


def test_other_compression_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x.npy", member_bytes(rows()))
    with pytest.raises(InputError, match="received compression method 12"):
        open_source(tmp_path / "a.npz", [X])


@pytest.mark.parametrize(("offset", "value", "text"), [(8, 1, "received an encrypted member"), (8, 32, "received compressed patched data"),
                                                         (6, 255, "received zip file version"), (46, 255, "received")])
def test_archives_that_numpy_does_not_write(tmp_path, offset, value, text):
    np.savez(tmp_path / "a.npz", x=rows())
    content = bytearray((tmp_path / "a.npz").read_bytes())
    directory = content.find(b"PK\x01\x02")
    content[directory + offset] = value
    if offset == 46:  # the name of the member, said to be UTF-8
        content[directory + 9] |= 8
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=text):
        open_source(tmp_path / "a.npz", [X])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.99])
def test_truncated(tmp_path, save, keep):
    save(tmp_path / "a.npz", x=rows(100))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[:int(len(whole) * keep)])
    with pytest.raises(InputError, match=r"truncated or damaged, write it again with numpy.savez; received"):
        open_source(tmp_path / "a.npz", [X])


@pytest.mark.parametrize("size", [7, 500, 1000, 9999])
def test_one_flipped_bit_is_noticed(tmp_path, size):
    np.savez(tmp_path / "a.npz", x=rows(1000))
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[whole.find(rows(1000).tobytes()) + 11990] ^= 1
    (tmp_path / "a.npz").write_bytes(whole)
    source = open_source(tmp_path / "a.npz", [X])
    with pytest.raises(InputError, match=r"truncated or damaged.*; received Bad CRC-32"):
        list(source.batches(size))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("size", [7, 500, 1000, 9999])
def test_the_checksum_is_compared(tmp_path, save, size):
    save(tmp_path / "a.npz", x=rows(1000))
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[whole.find(b"PK\x01\x02") + 16] ^= 1
    (tmp_path / "a.npz").write_bytes(whole)
    source = open_source(tmp_path / "a.npz", [X])
    with pytest.raises(InputError, match=r"truncated or damaged.*; received Bad CRC-32"):
        list(source.batches(size))


def test_a_compressed_stream_that_is_no_stream_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=rows(1000))
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    start = 30 + int.from_bytes(whole[26:28], "little") + int.from_bytes(whole[28:30], "little")
    whole[start:start + 8] = b"\xff" * 8
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(InputError, match=r"truncated or damaged.*; received Error -3"):
        open_source(tmp_path / "a.npz", [X])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_noticed_or_harmless(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "a.npz"
    data.draw(st.sampled_from([np.savez, np.savez_compressed]))(path, x=rows(5), y=np.arange(5))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        batches = read(path, labels=True)
    except InputError:
        return
    np.testing.assert_array_equal(column(batches), rows(5))


def test_a_file_that_changes_between_two_passes_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=rows())
    source = open_source(tmp_path / "a.npz", [X])
    for other in ({"x": rows(9)}, {"z": rows()}):
        np.savez(tmp_path / "a.npz", **other)
        with pytest.raises(InputError, match=r"changed since it was opened; received another 'x', it was float32 \[10, 3\]"):
            list(source.batches(4))


def test_a_pass_that_is_given_up_leaves_no_open_file(tmp_path):
    np.savez(tmp_path / "a.npz", x=rows())
    batches = open_source(tmp_path / "a.npz", [X]).batches(2)
    next(batches)
    batches.close()  # a file left open would be a ResourceWarning, which is an error


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_memory_does_not_grow_with_the_file(tmp_path, save):
    peaks = {}
    for n in (256, 4096):
        save(tmp_path / "a.npz", x=np.zeros((n, 64, 64), "float32"), y=np.zeros(n, int))  # 4 and 64 MB
        source = open_source(tmp_path / "a.npz", [TensorInfo("image", (None, 64, 64), "float32")], labels=True)
        tracemalloc.start()
        assert sum(len(b) for b in source.batches(32)) == n
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[4096] < 4 * 2**20
    assert peaks[4096] < 1.2 * peaks[256]


def test_the_same_data_has_the_same_fingerprint_whatever_it_comes_from(tmp_path):
    np.savez(tmp_path / "a.npz", x=rows())
    np.savez_compressed(tmp_path / "b.npz", x=np.asfortranarray(rows().astype("float64")))
    prints = {fingerprint(open_source(data, [X])) for data in (tmp_path / "a.npz", tmp_path / "b.npz", rows(), lambda: iter([rows()]))}
    assert len(prints) == 1
