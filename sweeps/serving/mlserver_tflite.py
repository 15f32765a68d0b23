"""Serve a .tflite file through MLServer, for sweeps/batching.yaml and docs/endpoints.md.

The port and the file come in the environment, as benchfleet gives them. Words of the command line are settings of the
model as MLServer knows them: `max_batch_size=8 max_batch_time=0.005` makes MLServer gather requests.
"""

import asyncio
import os
import sys

import numpy
from ai_edge_litert.interpreter import Interpreter
from mlserver import MLModel, MLServer
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelSettings, Settings
from mlserver.types import InferenceResponse, MetadataTensor

NAME = "served"
DATATYPES = {numpy.float32: "FP32", numpy.int8: "INT8", numpy.uint8: "UINT8"}


class Tflite(MLModel):
    """An interpreter for each number of items that requests were gathered to."""

    async def load(self):
        """Read the file, and describe its inputs as the protocol wants them."""
        self._path = os.environ["BENCHFLEET_MODEL"]
        self._interpreters = {}
        interpreter = self._of(1)
        self.inputs = [self._described(one) for one in interpreter.get_input_details()]
        return True

    def _described(self, given):
        datatype = DATATYPES[given["dtype"]]
        return MetadataTensor(name=given["name"], datatype=datatype, shape=[-1, *map(int, given["shape"][1:])])

    def _of(self, items):
        if items not in self._interpreters:
            threads = int(os.environ.get("BENCHFLEET_SETTING_THREADS", "1"))
            interpreter = Interpreter(model_path=self._path, num_threads=threads)
            for given in interpreter.get_input_details():
                interpreter.resize_tensor_input(given["index"], [items, *given["shape"][1:]])
            interpreter.allocate_tensors()
            self._interpreters[items] = interpreter
        return self._interpreters[items]

    async def predict(self, payload):
        """Run the items of a request, or of several that MLServer has gathered."""
        arrays = [NumpyCodec.decode_input(one) for one in payload.inputs]
        interpreter = self._of(len(arrays[0]))
        for given, array in zip(interpreter.get_input_details(), arrays):
            interpreter.set_tensor(given["index"], array.astype(given["dtype"], copy=False))
        interpreter.invoke()
        outputs = [
            NumpyCodec.encode_output(one["name"], interpreter.get_tensor(one["index"]))
            for one in interpreter.get_output_details()
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)


def main():
    asked, other, metrics = map(int, os.environ["BENCHFLEET_PORTS"].split())
    is_grpc = os.environ["BENCHFLEET_PROTOCOL"].endswith("-grpc")
    http, grpc = (other, asked) if is_grpc else (asked, other)
    ports = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    said = dict(word.split("=", 1) for word in sys.argv[1:])
    model = ModelSettings(name=NAME, implementation=Tflite, **said)
    server = MLServer(Settings(host="127.0.0.1", parallel_workers=0, debug=False, **ports))
    asyncio.run(server.start([model]))


if __name__ == "__main__":
    main()
