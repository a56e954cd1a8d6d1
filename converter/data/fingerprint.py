"""What was streamed, as one number: two sources with the same fingerprint gave the model the same inputs."""

from __future__ import annotations

import hashlib

from converter.data.source import Source


def fingerprint(source: Source, size: int = 32) -> str:
    """Sha256 as 64 hex digits over the names, dtypes, shapes and bytes of all inputs, sample by sample.

    It depends on the order of the samples, not on ``size``, the batches that they are read in, and not on the labels.

    Raises:
        InputError: the data cannot be read or does not fit the model.
    """
    digest = hashlib.sha256()
    for batch in source.batches(size):
        inputs = sorted(batch.inputs.items())
        heads = [f"{name}|{array.dtype.str}|{array.shape[1:]}|".encode() for name, array in inputs]
        for row in range(len(batch)):
            for head, (_, array) in zip(heads, inputs, strict=True):
                digest.update(head)
                digest.update(array[row].tobytes())
    return digest.hexdigest()
