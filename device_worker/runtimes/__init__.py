"""The runtimes that this worker can drive, each in a module that only a trial process imports."""

ENGINES = {"tflite": "device_worker.runtimes.tflite:TfliteRuntime"}
"""Engine, as a plan names it: the module and, after a colon, the class that executes it."""
