"""List the engines of the worker, each in a module imported by trial processes only.

The controller's table is `orchestrator/domain/runtimes.py`. A test compares the two tables.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping


class Engine:
    """An engine: `place` is the module and, after a colon, the class that executes jobs.

    `distributions` maps each possible module of the engine to the package of the module, with the preferred module
    first. An engine that asks a server has none. All modules have the same interface. The class of `place` has the
    settings for a job.
    """

    __slots__ = ("distributions", "place")

    def __init__(self, place: str, distributions: Mapping[str, str]) -> None:
        self.place = place
        self.distributions = distributions


_TFLITE_DISTRIBUTIONS = {
    "tflite_runtime.interpreter": "tflite-runtime",
    "ai_edge_litert.interpreter": "ai-edge-litert",
    "tensorflow.lite": "tensorflow",
}
_HERE = "device_worker.trial.runtimes"

ENGINES = {
    "tflite": Engine(f"{_HERE}.tflite:TfliteRuntime", _TFLITE_DISTRIBUTIONS),
    "onnxruntime": Engine(f"{_HERE}.onnxruntime:OnnxRuntime", {"onnxruntime": "onnxruntime"}),
    "openvino": Engine(f"{_HERE}.openvino:OpenvinoRuntime", {"openvino": "openvino"}),
    "ncnn": Engine(f"{_HERE}.ncnn:NcnnRuntime", {"ncnn": "ncnn"}),
    "tensorflow": Engine(f"{_HERE}.tensorflow:TensorflowRuntime", {"tensorflow": "tensorflow"}),
    "torch": Engine(f"{_HERE}.torch:TorchRuntime", {"torch": "torch"}),
    "kserve-v2": Engine(f"{_HERE}.kserve_v2:KserveRuntime", {}),
    "kserve-v2-grpc": Engine(f"{_HERE}.kserve_v2_grpc:KserveGrpcRuntime", {}),
    "tf-serving": Engine(f"{_HERE}.tf_serving:TensorflowServingRuntime", {}),
    "tf-serving-grpc": Engine(f"{_HERE}.tf_serving_grpc:TensorflowServingGrpcRuntime", {}),
    "http": Engine(f"{_HERE}.http_template:HttpTemplateRuntime", {}),
}
"""Every engine, by the name in a plan."""
