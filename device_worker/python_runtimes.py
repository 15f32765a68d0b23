"""The Python modules by which a runtime may be installed."""

TFLITE_MODULES = ("tflite_runtime.interpreter", "ai_edge_litert.interpreter", "tensorflow.lite")
"""In the order of preference where a job says `auto`; each has an `Interpreter`."""
