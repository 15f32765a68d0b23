"""Build small real models: what goes in comes out doubled, in any shape and dtype."""

import os

import pytest


def doubling_tflite(name, shape, signature, dtype):
    """Return a .tflite file with an input of a shape, of which -1 in the signature leaves sizes open."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    tensors = []
    for one in (name, "doubled"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.shapeSignature = one, shape, signature
        tensor.type, tensor.buffer = getattr(schema.TensorType, dtype.upper()), 0
        tensors.append(tensor)
    addition = schema.OperatorT()
    addition.opcodeIndex, addition.inputs, addition.outputs = 0, [0, 0], [1]
    addition.builtinOptionsType, addition.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0], [1], [addition]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    code.version = 1
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def edgetpu_tflite():
    """Return a .tflite file as the EdgeTPU's compiler writes one: a single operator of its own, for float32 [1, 4]."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    tensors = []
    for name in ("x", "y"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [1, 4], schema.TensorType.FLOAT32, 0
        tensors.append(tensor)
    compiled = schema.OperatorT()
    compiled.opcodeIndex, compiled.inputs, compiled.outputs = 0, [0], [1]
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0], [1], [compiled]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = "edgetpu-custom-op", 1
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def doubling_onnx(inputs):
    """Return an .onnx file that doubles each input: name, shape with None for an open size, dtype."""
    onnx = pytest.importorskip("onnx")
    described = [(name, getattr(onnx.TensorProto, dtype.upper()), shape) for name, shape, dtype in inputs]
    nodes = [onnx.helper.make_node("Add", [name, name], [name + "-doubled"]) for name, _, _ in described]
    given = [onnx.helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in described]
    made = [onnx.helper.make_tensor_value_info(name + "-doubled", kind, shape) for name, kind, shape in described]
    return _onnx_bytes(onnx, nodes, given, made, [])


def determinant_onnx():
    """Return an .onnx file of three nodes, the last of which, a determinant, is beyond most providers."""
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    nodes = [
        onnx.helper.make_node("Add", ["x", "x"], ["doubled"]),
        onnx.helper.make_node("Mul", ["doubled", "doubled"], ["squared"]),
        onnx.helper.make_node("Det", ["squared"], ["determinant"]),
    ]
    given = [onnx.helper.make_tensor_value_info("x", kind, [1, 3, 3])]
    made = [onnx.helper.make_tensor_value_info("determinant", kind, [1])]
    return _onnx_bytes(onnx, nodes, given, made, [])


def two_headed_onnx(order, features=16):
    """Return an .onnx file with classes [1, 10], which the data set of `two_headed_data` labels, and with features."""
    onnx = pytest.importorskip("onnx")
    import numpy

    random = numpy.random.RandomState(1)
    weights = {"classes": random.randn(8, 10), "features": random.randn(8, features)}
    nodes = [onnx.helper.make_node("MatMul", ["x", name + "-weights"], [name]) for name in order]
    kept = [
        onnx.numpy_helper.from_array(values.astype("float32"), name + "-weights") for name, values in weights.items()
    ]
    kind = onnx.TensorProto.FLOAT
    given = [onnx.helper.make_tensor_value_info("x", kind, [1, 8])]
    # Positions are all that a converter's names tell.
    places = {name: "output-%d" % place for place, name in enumerate(order)}
    for node in nodes:
        node.output[0] = places[node.output[0]]
    made = [onnx.helper.make_tensor_value_info(places[n], kind, [1, weights[n].shape[1]]) for n in order]
    return _onnx_bytes(onnx, nodes, given, made, kept), weights["classes"]


def behind_relu_onnx(operator, attributes, dtype):
    """Return an .onnx file of an operator behind a ReLU of eight numbers, with an output `y` of a dtype."""
    onnx = pytest.importorskip("onnx")
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["positive"]),
        onnx.helper.make_node(operator, ["positive"], ["y"], **attributes),
    ]
    given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 8])
    kind = getattr(onnx.TensorProto, dtype.upper())
    made = onnx.helper.make_tensor_value_info("y", kind, [1, 8] if operator == "Cast" else [2, None])
    return _onnx_bytes(onnx, nodes, [given], [made], [], opset=19 if dtype.startswith("float8") else 14)


def scaled_onnx(shape):
    """Return an .onnx file of an input `x` times an input `factor`, for which the file has a value.

    A shape of None leaves the number of dimensions open.
    """
    onnx = pytest.importorskip("onnx")
    import numpy

    kind = onnx.TensorProto.FLOAT
    described = (("x", shape), ("factor", [1]))
    given = [onnx.helper.make_tensor_value_info(name, kind, sizes) for name, sizes in described]
    made = onnx.helper.make_tensor_value_info("y", kind, shape)
    kept = onnx.numpy_helper.from_array(numpy.array([3], "float32"), "factor")
    nodes = [onnx.helper.make_node("Mul", ["x", "factor"], ["y"])]
    return _onnx_bytes(onnx, nodes, given, [made], [kept], is_whole=shape is not None)


def wide_numbers_onnx(dtype, factor):
    """Return an .onnx file of `x` as 64-bit numbers: floats times a factor, or whole numbers plus a factor."""
    onnx = pytest.importorskip("onnx")
    import numpy

    kind = getattr(onnx.TensorProto, dtype.upper().replace("FLOAT64", "DOUBLE"))
    operator = "Mul" if dtype == "float64" else "Add"
    nodes = [
        onnx.helper.make_node("Cast", ["x"], ["wide"], to=kind),
        onnx.helper.make_node(operator, ["wide", "factor"], ["y"]),
    ]
    given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])
    made = onnx.helper.make_tensor_value_info("y", kind, [1, 4])
    return _onnx_bytes(onnx, nodes, [given], [made], [onnx.numpy_helper.from_array(numpy.array([factor]), "factor")])


def classifier_onnx():
    """Return an .onnx file as of a classifier of scikit-learn: `label`, and maps of scores."""
    onnx = pytest.importorskip("onnx")
    helper, proto = onnx.helper, onnx.TensorProto
    classes = {"classlabels_int64s": [0, 1, 2, 3]}
    nodes = [
        helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
        helper.make_node("ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", **classes),
    ]
    scores = helper.make_map_type_proto(proto.INT64, helper.make_tensor_type_proto(proto.FLOAT, []))
    made = [
        helper.make_tensor_value_info("label", proto.INT64, [1]),
        helper.make_value_info("probabilities", helper.make_sequence_type_proto(scores)),
    ]
    graph = helper.make_graph(nodes, "odd", [helper.make_tensor_value_info("x", proto.FLOAT, [1, 4])], made)
    sets = [helper.make_opsetid("", 14), helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(graph, opset_imports=sets)
    model.ir_version = 8
    return model.SerializeToString()


def unloadable_onnx(opset=14, is_outside=False):
    """Return an .onnx file of an operator set that nobody knows, or with weights in a further file."""
    onnx = pytest.importorskip("onnx")
    import numpy

    weight = onnx.numpy_helper.from_array(numpy.ones((1, 4), "float32"), "w")
    if is_outside:
        onnx.external_data_helper.set_external_data(weight, "model.onnx.data")
        weight.ClearField("raw_data")
    given, made = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy")
    nodes = [onnx.helper.make_node("Add", ["x", "w"], ["y"])]
    return _onnx_bytes(onnx, nodes, [given], [made], [weight], opset=opset, is_whole=False)


def _onnx_bytes(onnx, nodes, given, made, kept, opset=14, is_whole=True):
    graph = onnx.helper.make_graph(nodes, "odd", given, made, initializer=kept)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    model.ir_version = 8 if opset < 19 else 9
    if is_whole:  # the checker wants a shape of every input, which exporters leave out all the same
        onnx.checker.check_model(model)
    return model.SerializeToString()
