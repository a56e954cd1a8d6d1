"""ConvLSTM is a loop in ONNX; what does not depend on the state is one convolution of all steps in front of it.

    Keras     eight convolutions a step, of the input and of the state with the kernel of each gate
    here      one of the inputs of all steps, with the kernels of all gates side by side as Keras keeps them, and one of the state a step

The convolution in front can be quantized like any other. (Shi et al. 2015, Convolutional LSTM Network; its gates look at no state c.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from converter.frontend.forms import FORMS, Form
from converter.frontend.forms.time_distributed import merged, parted
from converter.frontend.marks import Tracing

LAYERS = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")


def _call(
    tracing: Tracing, layer: Any, original: Callable[..., Any], sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False,
) -> Any:
    keras, tf, cell = tracing.keras, tracing.tf, layer.cell
    if type(layer) not in [getattr(keras.layers, name) for name in LAYERS] or layer.stateful or initial_state is not None:
        return original(sequences, initial_state=initial_state, mask=mask, training=training)
    seen = parted(tf, _biased(keras, cell, cell.input_conv(merged(tf, sequences), cell.kernel, padding=cell.padding)), sequences)
    loop = SimpleNamespace(cell=lambda inputs, states: _step(keras, cell, inputs, states), stateful=False, go_backwards=layer.go_backwards,
                           unroll=layer.unroll, zero_output_for_mask=layer.zero_output_for_mask, return_sequences=layer.return_sequences)
    states = layer.get_initial_state(batch_size=tf.shape(sequences)[0])
    last, outputs, finals = keras.layers.RNN.inner_loop(loop, seen, states, mask)
    output = outputs if layer.return_sequences else last
    return (output, *finals) if layer.return_state else output


def _biased(keras: Any, cell: Any, value: Any) -> Any:
    if not cell.use_bias:
        return value
    ahead = (1, -1, *[1] * cell.rank) if cell.data_format == "channels_first" else (-1,)
    return value + keras.ops.reshape(cell.bias, ahead)


def _step(keras: Any, cell: Any, seen: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
    """What Keras's ConvLSTMCell does, given the convolution of the input."""
    h, c = states
    axis = 1 if cell.data_format == "channels_first" else -1
    i, f, new, o = keras.ops.split(seen + cell.recurrent_conv(h, cell.recurrent_kernel), 4, axis=axis)
    c = cell.recurrent_activation(f) * c + cell.recurrent_activation(i) * cell.activation(new)
    h = cell.recurrent_activation(o) * cell.activation(c)
    return h, [h, c]


for _name in LAYERS:
    FORMS.add(_name, Form(_call))
