"""Serve a .tflite file through Triton (nvidia-pytriton), for sweeps/batching.yaml and docs/endpoints.md.

The ports and the file come in the environment, as benchfleet gives them. Words of the command line choose the mode:
`max_batch_size=8` lets a request have several items, `max_delay_us=5000` makes Triton gather requests besides, and
`cache_bytes=1000000` keeps answers of equal requests.
"""

import contextlib
import glob
import os
import shutil
import signal
import sys
import tempfile
import venv

NAME = "served"
ENVIRONMENT = os.path.abspath("environment")
# That interpreter is an early Python 3.11 with the library of this one, and lacks what a later library asks of a lock.
LOCK = (
    "import threading, multiprocessing.resource_tracker as r; hasattr(threading.RLock(), '_recursion_count') "
    "or setattr(r._resource_tracker, '_lock', threading._PyRLock())"
)


def enter_environment():
    """Begin this program anew in a virtual environment with the packages, unless this is it.

    Triton starts an interpreter of its own, which heeds neither PYTHONPATH nor anything but the environment's folder.
    """
    if sys.prefix == ENVIRONMENT:
        return
    venv.create(ENVIRONMENT, symlinks=True)
    (folder,) = glob.glob(os.path.join(ENVIRONMENT, "lib", "python*", "site-packages"))
    packages = os.environ["BENCHFLEET_PACKAGES"]
    with open(os.path.join(folder, "packages.pth"), "w", encoding="utf-8") as paths:
        paths.write(f"{packages}\n{LOCK}\n")
    # Outside of the environment's folder, nvidia-pytriton looks for its libraries where its wheel has none.
    os.environ["LD_LIBRARY_PATH"] = os.path.join(packages, "nvidia_pytriton.libs")
    python = os.path.join(ENVIRONMENT, "bin", "python")
    os.execv(python, [python, *sys.argv])


enter_environment()

import numpy  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from pytriton import triton as pytriton  # noqa: E402
from pytriton.decorators import batch  # noqa: E402
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor  # noqa: E402


class Tflite:
    """An interpreter for each number of items that requests were gathered to."""

    def __init__(self):
        self._interpreters = {}
        interpreter = self._of(1)
        self.inputs = [self._described(one) for one in interpreter.get_input_details()]
        self.outputs = [self._described(one) for one in interpreter.get_output_details()]

    def _described(self, given):
        return Tensor(name=given["name"], dtype=given["dtype"], shape=tuple(map(int, given["shape"][1:])))

    def _of(self, items):
        if items not in self._interpreters:
            threads = int(os.environ.get("BENCHFLEET_SETTING_THREADS", "1"))
            interpreter = Interpreter(model_path=os.environ["BENCHFLEET_MODEL"], num_threads=threads)
            for given in interpreter.get_input_details():
                interpreter.resize_tensor_input(given["index"], [items, *given["shape"][1:]])
            interpreter.allocate_tensors()
            self._interpreters[items] = interpreter
        return self._interpreters[items]

    @batch
    def run(self, **arrays):
        """Run the items of a request, or of several that Triton has gathered."""
        interpreter = self._of(len(next(iter(arrays.values()))))
        for given in interpreter.get_input_details():
            interpreter.set_tensor(given["index"], arrays[given["name"]].astype(given["dtype"], copy=False))
        interpreter.invoke()
        return {
            one["name"]: numpy.array(interpreter.get_tensor(one["index"])) for one in interpreter.get_output_details()
        }


def main():
    asked, other, metrics = map(int, os.environ["BENCHFLEET_PORTS"].split())
    is_grpc = os.environ["BENCHFLEET_PROTOCOL"].endswith("-grpc")
    http, grpc = (other, asked) if is_grpc else (asked, other)
    said = {name: int(value) for name, value in (word.split("=", 1) for word in sys.argv[1:])}
    delay_us, cache_bytes = said.get("max_delay_us"), said.get("cache_bytes", 0)
    address = dict.fromkeys(("http_address", "grpc_address", "metrics_address"), "127.0.0.1")
    ports = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    cache = {"cache_config": [f"local,size={cache_bytes}"]} if cache_bytes else {}
    config = ModelConfig(
        max_batch_size=said.get("max_batch_size", 1),
        batcher=None if delay_us is None else DynamicBatcher(max_queue_delay_microseconds=delay_us),
        response_cache=bool(cache_bytes),
    )
    model = Tflite()
    # Its sockets stand there, whose paths have 107 characters at most: the folder of a trial may lie too deep.
    folder = tempfile.mkdtemp()
    triton = pytriton.Triton(
        config=pytriton.TritonConfig(**address, **ports, **cache, exit_timeout_secs=1),
        workspace=os.path.join(folder, "triton"),
        # From a folder of its own: a model that is sent to Triton leaves a copy in /tmp.
        triton_lifecycle_policy=pytriton.TritonLifecyclePolicy(local_model_store=True),
        # The client reads Triton's statistics.
        security_config=pytriton.TritonSecurityConfig(
            restricted_endpoints=[one for one in pytriton.DEFAULT_PROTECTED_ENDPOINTS if one != "statistics"]
        ),
    )
    triton.bind(NAME, model.run, inputs=model.inputs, outputs=model.outputs, config=config)
    triton.run()
    signal.sigwait({signal.SIGTERM})
    # First, as the end of Triton may take longer than a trial waits. All files have been read by now.
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        triton.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main()
