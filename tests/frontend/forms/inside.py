"""Put a layer inside a loop, or a function inside a layer, as code of the user's would."""

from __future__ import annotations

from typing import Any

import keras


class Once(keras.layers.Layer):
    """Calls a layer in the body of a loop that runs once."""

    def __init__(self, inner: Any, **options: Any) -> None:
        super().__init__(**options)
        self.inner = inner

    def build(self, input_shape: Any) -> None:
        """Build the layer inside, whose weights cannot be made in a loop."""
        self.inner.build(input_shape)

    def call(self, inputs: Any) -> Any:
        """One round."""
        def body(count: Any, value: Any) -> Any:
            return count + 1, self.inner(value)

        return keras.ops.while_loop(lambda count, value: count < 1, body, (keras.ops.zeros((), "int32"), inputs))[1]


def once(layer: Any) -> Any:
    """``layer`` inside a loop."""
    return Once(layer)


class Calling(keras.layers.Layer):
    """Runs a function in its call, so that the function sees tensors of the backend."""

    def __init__(self, function: Any, **options: Any) -> None:
        super().__init__(**options)
        self.function = function

    def call(self, *inputs: Any) -> Any:
        """The function of the inputs."""
        return self.function(*inputs)


def calling(function: Any) -> Any:
    """``function`` as a layer."""
    return Calling(function)
