"""Serve a SavedModel through MLServer, for sweeps/serving.yaml and docs/endpoints.md.

The ports and the archive come in the environment, as benchfleet gives them.
"""

import asyncio
import os

from mlserver import MLModel, MLServer
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelSettings, Settings
from mlserver.types import InferenceResponse, MetadataTensor
from saved_model import SavedModel, sizes_of

NAME = "served"
DATATYPES = {"float32": "FP32", "float64": "FP64", "int8": "INT8", "uint8": "UINT8", "int32": "INT32", "int64": "INT64"}


class Tensorflow(MLModel):
    """The signature `serving_default` of a SavedModel."""

    async def load(self):
        """Load the SavedModel, and describe its inputs as the protocol wants them."""
        self._model = SavedModel()
        self.inputs = [
            MetadataTensor(name=name, datatype=DATATYPES[spec.dtype.name], shape=sizes_of(spec))
            for name, spec in self._model.inputs.items()
        ]
        return True

    async def predict(self, payload):
        """Run the items of a request."""
        arrays = {one.name: NumpyCodec.decode_input(one) for one in payload.inputs}
        outputs = [NumpyCodec.encode_output(name, array) for name, array in self._model.run(arrays).items()]
        return InferenceResponse(model_name=self.name, outputs=outputs)


def main():
    asked, other, metrics = map(int, os.environ["BENCHFLEET_PORTS"].split())
    is_grpc = os.environ["BENCHFLEET_PROTOCOL"].endswith("-grpc")
    http, grpc = (other, asked) if is_grpc else (asked, other)
    ports = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    server = MLServer(Settings(host="127.0.0.1", parallel_workers=0, debug=False, **ports))
    asyncio.run(server.start([ModelSettings(name=NAME, implementation=Tensorflow)]))


if __name__ == "__main__":
    main()
