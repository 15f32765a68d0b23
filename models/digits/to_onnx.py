"""Write the network of `digits-fp32.tflite` as ONNX operators, with the weights that the file holds.

Run as `python to_onnx.py digits-fp32.tflite digits-fp32.onnx`; `recipe.py` does the same for what it trains. The two
files compute the same function, so what differs between their results is the runtime. Opset 13 is old enough for
every onnxruntime from 1.7 on, and so for devices with Python 3.7.
"""

import os
import sys
from pathlib import Path

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import numpy as np
import onnx
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 13, 7
INPUT, OUTPUT = "image", "probabilities"
WEIGHTED = ("CONV_2D", "FULLY_CONNECTED")


def read_weights(artifact: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return kernel and bias of each layer that has weights, from the input to the output."""
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_content=artifact, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    layers = [node["inputs"] for node in interpreter._get_ops_details() if node["op_name"] in WEIGHTED]
    return [(interpreter.get_tensor(inputs[1]), interpreter.get_tensor(inputs[2])) for inputs in layers]


def to_onnx(artifact: bytes) -> bytes:
    """Return the network as an ONNX model, from the float32 TensorFlow Lite file that `recipe.py` makes."""
    first, second, hidden, last = read_weights(artifact)
    constants = {
        "to_channels": np.array([1, 1, 8, 8], np.int64),
        "to_row": np.array([1, -1], np.int64),
        # TensorFlow Lite keeps kernels as output, height, width, input; ONNX as output, input, height, width
        "first_kernel": first[0].transpose(0, 3, 1, 2),
        "first_bias": first[1],
        "second_kernel": second[0].transpose(0, 3, 1, 2),
        "second_bias": second[1],
        "hidden_kernel": hidden[0],
        "hidden_bias": hidden[1],
        "last_kernel": last[0],
        "last_bias": last[1],
    }
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    halved = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        helper.make_node("Reshape", [INPUT, "to_channels"], ["channels"]),  # one channel: the order stays
        helper.make_node("Conv", ["channels", "first_kernel", "first_bias"], ["conv1"], **same),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("MaxPool", ["relu1"], ["pool1"], **halved),
        helper.make_node("Conv", ["pool1", "second_kernel", "second_bias"], ["conv2"], **same),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        helper.make_node("MaxPool", ["relu2"], ["pool2"], **halved),
        # the first dense layer was trained on rows with the channels last
        helper.make_node("Transpose", ["pool2"], ["channels_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["channels_last", "to_row"], ["row"]),
        helper.make_node("Gemm", ["row", "hidden_kernel", "hidden_bias"], ["dense1"], transB=1),
        helper.make_node("Relu", ["dense1"], ["relu3"]),
        helper.make_node("Gemm", ["relu3", "last_kernel", "last_bias"], ["dense2"], transB=1),
        helper.make_node("Softmax", ["dense2"], [OUTPUT], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 8, 8, 1])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="benchfleet")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python to_onnx.py FILE.tflite FILE.onnx")
    Path(sys.argv[2]).write_bytes(to_onnx(Path(sys.argv[1]).read_bytes()))


if __name__ == "__main__":
    main()
