"""Call a model of TensorFlow Lite from Python, by the interpreter of a package or by ctypes: docs/exec.md.

`tflite.py interpreter` uses the package's own binding, tflite_runtime or ai_edge_litert, with arrays of numpy.
`tflite.py ctypes` uses the same C library as tflite.c, and no package besides.
"""

import ctypes
import json
import os
import sys
from array import array
from glob import glob
from time import perf_counter_ns

PACKAGE = os.environ["BENCHFLEET_PACKAGES"]
KERNELS = os.environ.get("BENCHFLEET_SETTING_KERNELS")
FLOAT32 = 1


def setting(name, otherwise):
    return float(os.environ.get("BENCHFLEET_" + name, otherwise))


def numbers(count):
    """The same numbers in every language, so that outputs can be compared."""
    return [place * 7919 % 1000 / 1000 for place in range(count)]


class Interpreter:
    """The binding that the package ships."""

    def __init__(self, path, threads):
        sys.path.insert(0, PACKAGE)
        try:
            from ai_edge_litert import __version__ as version
            from ai_edge_litert import interpreter as module
        except ImportError:
            from tflite_runtime import __version__ as version
            from tflite_runtime import interpreter as module
        import numpy

        # These packages apply XNNPACK by themselves.
        resolvers = module.OpResolverType
        resolver = resolvers.AUTO if KERNELS == "xnnpack" else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        bound = module.Interpreter(model_path=path, num_threads=threads, experimental_op_resolver_type=resolver)
        bound.allocate_tensors()
        given, answer = bound.get_input_details()[0], bound.get_output_details()[0]
        values = numpy.array(numbers(int(numpy.prod(given["shape"]))), dtype=numpy.float32).reshape(given["shape"])
        self.set = lambda: bound.set_tensor(given["index"], values)
        self.invoke = bound.invoke
        self.get = lambda: bound.get_tensor(answer["index"])
        self.output = lambda: [float(value) for value in self.get().reshape(-1)]
        self.told = {"name": "tflite, Python", "version": version}


class Ctypes:
    """The C library of the package, called by the standard library."""

    def __init__(self, path, threads):
        library = ctypes.CDLL(glob(os.path.join(PACKAGE, "*", "lib", "libtensorflowlite_c.so"))[0])
        for name in ("ModelCreateFromFile", "InterpreterOptionsCreate", "InterpreterCreate", "XNNPackDelegateCreate"):
            getattr(library, "TfLite" + name).restype = ctypes.c_void_p
        for name in ("InterpreterGetInputTensor", "InterpreterGetOutputTensor"):
            getattr(library, "TfLite" + name).restype = ctypes.c_void_p
        library.TfLiteVersion.restype = ctypes.c_char_p
        library.TfLiteTensorByteSize.restype = ctypes.c_size_t
        model = ctypes.c_void_p(library.TfLiteModelCreateFromFile(path.encode()))
        options = ctypes.c_void_p(library.TfLiteInterpreterOptionsCreate())
        library.TfLiteInterpreterOptionsSetNumThreads(options, threads)
        if KERNELS == "xnnpack":
            delegate = ctypes.c_void_p(library.TfLiteXNNPackDelegateCreate(None))
            library.TfLiteInterpreterOptionsAddDelegate(options, delegate)
        interpreter = ctypes.c_void_p(library.TfLiteInterpreterCreate(model, options))
        if not interpreter or library.TfLiteInterpreterAllocateTensors(interpreter):
            raise RuntimeError("the tensors cannot be allocated")
        given = ctypes.c_void_p(library.TfLiteInterpreterGetInputTensor(interpreter, 0))
        answer = ctypes.c_void_p(library.TfLiteInterpreterGetOutputTensor(interpreter, 0))
        if library.TfLiteTensorType(given) != FLOAT32 or library.TfLiteTensorType(answer) != FLOAT32:
            raise RuntimeError("this program wants a model with one input and one output of float32")
        sizes = [ctypes.c_size_t(library.TfLiteTensorByteSize(tensor)) for tensor in (given, answer)]
        values = array("f", numbers(sizes[0].value // 4))
        found = array("f", bytes(sizes[1].value))
        places = [ctypes.c_void_p(values.buffer_info()[0]), ctypes.c_void_p(found.buffer_info()[0])]
        self.set = lambda: library.TfLiteTensorCopyFromBuffer(given, places[0], sizes[0])
        self.invoke = lambda: library.TfLiteInterpreterInvoke(interpreter)
        self.get = lambda: library.TfLiteTensorCopyToBuffer(answer, places[1], sizes[1])
        self._kept = values
        self.output = lambda: list(found)
        self.told = {"name": "tflite, Python ctypes", "version": library.TfLiteVersion().decode()}


def call_repeatedly(model, runs_min, seconds_min):
    """Call until there are enough runs and enough time; return samples of set, invoke, get and the whole call."""
    samples = [array("q") for _ in range(4)]
    begin = done = perf_counter_ns()
    while len(samples[0]) < runs_min or done - begin < seconds_min * 1e9:
        start = perf_counter_ns()
        model.set()
        ready = perf_counter_ns()
        model.invoke()
        invoked = perf_counter_ns()
        model.get()
        done = perf_counter_ns()
        for place, taken in enumerate((ready - start, invoked - ready, done - invoked, done - start)):
            samples[place].append(taken)
    return begin, done, samples


def say(**line):
    print(json.dumps(line))


def main():
    make = {"interpreter": Interpreter, "ctypes": Ctypes}[sys.argv[1]]
    model = make(os.environ["BENCHFLEET_MODEL"], int(setting("SETTING_THREADS", 1)))
    call_repeatedly(model, setting("WARMUP_RUNS_MIN", 5), setting("WARMUP_SECONDS_MIN", 0.3))
    begin, end, samples = call_repeatedly(model, setting("RUNS_MIN", 50), setting("SECONDS_MIN", 1))
    say(runtime=dict(model.told, output=model.output()[:16]))
    say(window={"begin_mono_ns": begin, "end_mono_ns": end})
    say(metric="latency_ns", samples=list(samples[1]))
    say(metric="call_ns", samples=list(samples[3]))
    say(metric="set_input_ns", value=sorted(samples[0])[len(samples[0]) // 2])
    say(metric="get_output_ns", value=sorted(samples[2])[len(samples[2]) // 2])
    say(done=True)


if __name__ == "__main__":
    try:
        main()
    except (ImportError, IndexError, OSError, RuntimeError, ValueError) as error:
        say(failure={"kind": "load-error", "message": "%s: %s" % (type(error).__name__, error)})
