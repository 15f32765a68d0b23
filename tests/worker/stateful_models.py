"""Build small real models with a state: each adds its input to what it has summed up so far."""

import io
import os
import zipfile

import pytest


def _schema():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("flatbuffers"), pytest.importorskip("tensorflow.lite.python.schema_py_generated")


def svdf_tflite():
    """Return a .tflite file of an SVDF over three inputs of ones: its state is a variable tensor."""
    flatbuffers, schema = _schema()
    options = schema.SVDFOptionsT()
    options.rank = 1
    tensors = [
        _tensor(schema, "x", [1, 2]),
        _tensor(schema, "feature", [2, 2], buffer=1),
        _tensor(schema, "time", [2, 3], buffer=2),
        _tensor(schema, "state", [1, 6], is_variable=True),
        _tensor(schema, "y", [1, 2]),
    ]
    node = _operator(schema, 0, [0, 1, 2, -1, 3], [4], schema.BuiltinOptions.SVDFOptions, options)
    graph = _graph(schema, tensors, [0], [4], [node])
    buffers = [schema.BufferT(), _buffer(schema, [1, 0, 0, 1]), _buffer(schema, [1] * 6)]
    return _packed(flatbuffers, schema, [schema.BuiltinOperator.SVDF], [graph], buffers)


def summing_tflite():
    """Return a .tflite file that reads a resource variable, adds the input, and assigns the sum."""
    flatbuffers, schema = _schema()
    kinds, options = schema.BuiltinOperator, schema.BuiltinOptions
    once = schema.CallOnceOptionsT()
    once.initSubgraphIndex = 1
    resource = schema.TensorType.RESOURCE
    tensors = [
        _tensor(schema, "x", [1, 2]),
        _tensor(schema, "sum", [], kind=resource),
        _tensor(schema, "old", [1, 2]),
        _tensor(schema, "y", [1, 2]),
    ]
    nodes = [
        _operator(schema, 4, [], [], options.CallOnceOptions, once),
        _operator(schema, 0, [], [1], options.VarHandleOptions, _handle(schema)),
        _operator(schema, 1, [1], [2], options.ReadVariableOptions, schema.ReadVariableOptionsT()),
        _operator(schema, 2, [0, 2], [3], options.AddOptions, schema.AddOptionsT()),
        _operator(schema, 3, [1, 3], [], options.AssignVariableOptions, schema.AssignVariableOptionsT()),
    ]
    beginning = [
        _operator(schema, 0, [], [0], options.VarHandleOptions, _handle(schema)),
        _operator(schema, 3, [0, 1], [], options.AssignVariableOptions, schema.AssignVariableOptionsT()),
    ]
    zeros = [_tensor(schema, "sum-again", [], kind=resource), _tensor(schema, "zeros", [1, 2], buffer=1)]
    graphs = [_graph(schema, tensors, [0], [3], nodes), _graph(schema, zeros, [], [], beginning)]
    codes = [kinds.VAR_HANDLE, kinds.READ_VARIABLE, kinds.ADD, kinds.ASSIGN_VARIABLE, kinds.CALL_ONCE]
    return _packed(flatbuffers, schema, codes, graphs, [schema.BufferT(), _buffer(schema, [0, 0])])


def summing_int8_tflite():
    """Return a .tflite file whose output `total` is the inputs `x` and `before` added up, as whole numbers to 127."""
    flatbuffers, schema = _schema()
    tensors = [_tensor(schema, name, [1, 2], kind=schema.TensorType.INT8) for name in ("x", "before", "total")]
    for tensor in tensors:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [1.0], [0]
    node = _operator(schema, 0, [0, 1], [2], schema.BuiltinOptions.AddOptions, schema.AddOptionsT())
    graph = _graph(schema, tensors, [0, 1], [2], [node])
    return _packed(flatbuffers, schema, [schema.BuiltinOperator.ADD], [graph], [schema.BufferT()])


def summing_onnx(state_shape=(1, 2)):
    """Return an .onnx file whose output `total` is the input `x` and the input `before` added up."""
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    described = [("x", [1, 2]), ("before", list(state_shape))]
    given = [onnx.helper.make_tensor_value_info(name, kind, shape) for name, shape in described]
    made = [onnx.helper.make_tensor_value_info(name, kind, [1, 2]) for name in ("y", "total")]
    nodes = [
        onnx.helper.make_node("Add", ["x", "before"], ["total"]),
        onnx.helper.make_node("Identity", ["total"], ["y"]),
    ]
    graph = onnx.helper.make_graph(nodes, "summing", given, made)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _tensor(schema, name, shape, buffer=0, is_variable=False, kind=None):
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer, tensor.isVariable = name, shape, buffer, is_variable
    tensor.type = schema.TensorType.FLOAT32 if kind is None else kind
    return tensor


def _operator(schema, code, inputs, outputs, kind, options):
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    operator.builtinOptionsType, operator.builtinOptions = kind, options
    return operator


def _handle(schema):
    handle = schema.VarHandleOptionsT()
    handle.container, handle.sharedName = "", "sum"
    return handle


def _graph(schema, tensors, inputs, outputs, operators):
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, inputs, outputs, operators
    return graph


def _buffer(schema, values):
    import numpy

    buffer = schema.BufferT()
    buffer.data = numpy.frombuffer(numpy.array(values, "float32").tobytes(), dtype=numpy.uint8)
    return buffer


def _packed(flatbuffers, schema, kinds, graphs, buffers):
    codes = []
    for kind in kinds:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), 1
        codes.append(code)
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, codes, graphs, buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def summing_openvino():
    """Return an archive of OpenVINO's own format whose model adds its input to a variable, and assigns the sum."""
    sizes = "<dim>1</dim><dim>2</dim>"

    def layer(number, name, kind, version, data="", inputs=(), outputs=()):
        taken = "".join(f'<port id="{port}">{sizes}</port>' for port in inputs)
        made = "".join(f'<port id="{port}" precision="FP32" names="{name}">{sizes}</port>' for port in outputs)
        return (
            f'<layer id="{number}" name="{name}" type="{kind}" version="{version}">'
            + (f"<data {data}/>" if data else "")
            + (f"<input>{taken}</input>" if taken else "")
            + (f"<output>{made}</output>" if made else "")
            + "</layer>"
        )

    variable = 'variable_id="sum" variable_type="f32" variable_shape="1,2"'
    layers = [
        layer(0, "x", "Parameter", "opset1", 'shape="1,2" element_type="f32"', outputs=[0]),
        layer(1, "zeros", "Const", "opset1", 'element_type="f32" shape="1,2" offset="0" size="8"', outputs=[0]),
        layer(2, "old", "ReadValue", "opset6", variable, inputs=[0], outputs=[1]),
        layer(3, "y", "Add", "opset1", 'auto_broadcast="numpy"', inputs=[0, 1], outputs=[2]),
        layer(4, "kept", "Assign", "opset6", 'variable_id="sum"', inputs=[0], outputs=[1]),
        layer(5, "result", "Result", "opset1", inputs=[0]),
    ]
    edges = [(0, 0, 3, 0), (1, 0, 2, 0), (2, 1, 3, 1), (3, 2, 4, 0), (3, 2, 5, 0)]
    words = "".join(
        f'<edge from-layer="{one}" from-port="{out}" to-layer="{other}" to-port="{into}"/>'
        for one, out, other, into in edges
    )
    body = f"<layers>{''.join(layers)}</layers><edges>{words}</edges>"
    text = f'<?xml version="1.0"?><net name="sum" version="11">{body}</net>'
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("sum.xml", text)
        packed.writestr("sum.bin", bytes(8))
    return archive.getvalue()
