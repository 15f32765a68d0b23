"""Build small real models that take text, truth values and several inputs."""

import os

import pytest


def labelling_onnx():
    """Return an .onnx file that gives each of two words a number of its own."""
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node(
        "LabelEncoder",
        ["words"],
        ["y"],
        domain="ai.onnx.ml",
        keys_strings=["ja", "nein"],
        values_floats=[1.0, -1.0],
        default_float=0.0,
    )
    given = onnx.helper.make_tensor_value_info("words", onnx.TensorProto.STRING, [1, 2])
    made = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 2])
    graph = onnx.helper.make_graph([node], "labelling", [given], [made])
    sets = [onnx.helper.make_opsetid("", 14), onnx.helper.make_opsetid("ai.onnx.ml", 2)]
    model = onnx.helper.make_model(graph, opset_imports=sets)
    model.ir_version = 8
    return model.SerializeToString()


def choosing_onnx():
    """Return an .onnx file that takes `yes` where `which` is true, and `no` elsewhere."""
    onnx = pytest.importorskip("onnx")
    kinds = {"which": onnx.TensorProto.BOOL, "yes": onnx.TensorProto.INT64, "no": onnx.TensorProto.INT64}
    given = [onnx.helper.make_tensor_value_info(name, kind, [1, 2]) for name, kind in kinds.items()]
    made = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.INT64, [1, 2])
    node = onnx.helper.make_node("Where", ["which", "yes", "no"], ["y"])
    graph = onnx.helper.make_graph([node], "choosing", given, [made])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()


def comparing_tflite():
    """Return a .tflite file that says where two inputs of text are equal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    tensors = []
    for name, kind in (("a", schema.TensorType.STRING), ("b", schema.TensorType.STRING), ("y", schema.TensorType.BOOL)):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [1, 2], kind, 0
        tensors.append(tensor)
    equal = schema.OperatorT()
    equal.opcodeIndex, equal.inputs, equal.outputs = 0, [0, 1], [2]
    equal.builtinOptionsType, equal.builtinOptions = schema.BuiltinOptions.EqualOptions, schema.EqualOptionsT()
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0, 1], [2], [equal]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.EQUAL
    code.version = 3
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
