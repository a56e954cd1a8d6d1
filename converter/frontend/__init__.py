"""From a Keras model to a float ONNX graph whose initializers carry the names of the Keras variables."""
