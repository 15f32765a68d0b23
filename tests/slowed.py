"""Make a .tflite artifact slower on every processor, and leave what the artifact answers."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def slow_down(artifact: bytes, times: int) -> bytes:
    """Return a network that works out each of its convolutions so many times more, and answers the same, bit by bit.

    Runtimes leave out what leads nowhere. The network therefore goes on with the maximum of all the equal results.
    """
    # In another process: TensorFlow has the schema of the files, and would stay in the tests' own process.
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(times)],
        input=artifact,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout


def _slowed(artifact: bytes, times: int) -> bytes:
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(artifact, 0))
    graph = model.subgraphs[0]
    kinds = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    maximum = schema.OperatorCodeT()
    maximum.builtinCode = maximum.deprecatedBuiltinCode = schema.BuiltinOperator.MAXIMUM
    maximum.version = 1
    model.operatorCodes.append(maximum)

    def add_tensor(like: int) -> int:
        graph.tensors.append(copy.copy(graph.tensors[like]))
        return len(graph.tensors) - 1

    operators: list[Any] = []
    for operator in graph.operators:
        operators.append(operator)
        if kinds[operator.opcodeIndex] != schema.BuiltinOperator.CONV_2D:
            continue
        result = operator.outputs[0]
        found = add_tensor(result)
        operator.outputs = [found]
        for left in reversed(range(times)):
            again = copy.copy(operator)
            again.outputs = [add_tensor(result)]
            larger = schema.OperatorT()
            larger.opcodeIndex = len(model.operatorCodes) - 1
            larger.inputs, larger.outputs = [found, again.outputs[0]], [add_tensor(result) if left else result]
            larger.builtinOptionsType = schema.BuiltinOptions.MaximumMinimumOptions
            larger.builtinOptions = schema.MaximumMinimumOptionsT()
            operators += [again, larger]
            found = larger.outputs[0]
    graph.operators = operators
    builder = flatbuffers.Builder(len(artifact))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


if __name__ == "__main__":
    sys.stdout.buffer.write(_slowed(sys.stdin.buffer.read(), int(sys.argv[1])))
