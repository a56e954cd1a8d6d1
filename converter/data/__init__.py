"""Data as a stream of checked batches: from .npz files, image folders, factories, arrays and data sets.

Whatever the data is, :func:`open_source` gives a :class:`Source`, whose batches carry one array for every input of
the model, in its dtype and its shape, and finite. Nothing is ever held whole, and nothing is ever unpickled.
"""

from converter.data.dispatch import open_source
from converter.data.fingerprint import fingerprint
from converter.data.limit import limit
from converter.data.source import Batch, Source

__all__ = ["Batch", "Source", "fingerprint", "limit", "open_source"]
