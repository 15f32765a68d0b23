"""Drive a model of TensorFlow in one of the ways of calling that people use."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile

from device_worker.trial.causes import describe
from device_worker.trial.declared import batched_shape
from device_worker.trial.encoding import encode_plain
from device_worker.trial.runtimes.base import InputSlot, LoadedModel, LoadFailure, Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from device_worker.protocol.specification import TrialJob

_SIGNATURE = "serving_default"
_COMPILED = ("function", "xla")
_EAGER = ("predict", "predict_on_batch", "model")
_MEMBERS_MAX, _BYTES_MAX = 10_000, 8 << 30


class TensorflowRuntime(Runtime):
    """The imported package tensorflow. The setting `call` says how the model is called.

    `predict`, `predict_on_batch` and `model` (a call of the model itself) are the ways of a Keras model. `function`
    and `xla` trace the model, or the signature of a SavedModel, once as a tf.function; `xla` compiles the graph
    besides. `signature` calls the signature `serving_default` of a SavedModel.
    """

    engine = "tensorflow"
    settings = frozenset(("threads", "cpus", "batch", "call"))

    def __init__(self, job: TrialJob) -> None:
        """Import the package, and unpack a SavedModel, so that the time of loading leaves out both."""
        self._call = str(job.settings.get("call"))
        known = (*_EAGER, *_COMPILED, "signature")
        if self._call not in known:  # said before an import of half a minute
            raise LoadFailure(f"the setting call: of tensorflow is one of {', '.join(known)}; not {self._call!r}")
        # Traced functions are written as files and left behind: here they go with the trial's folder.
        tempfile.tempdir = job.files_dir
        super().__init__(job)
        self._folder = _unpacked(self._model_path, job.files_dir)

    def load(self) -> LoadedModel:
        """Load the model, and trace or compile the call. Raise LoadFailure for a call that the model does not have."""
        tensorflow = self._module
        threads = self._settings.get("threads", 1)
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        # Operators run one after the other, so that `threads` counts them all.
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        model = self._load_keras() if self._folder is None else self._load_saved_model(self._folder)
        name, version = self._distribution()
        keras = None if self._folder is not None else tensorflow.keras.__version__
        identity = {"name": name, "version": version, "threads": threads, "call": self._call, "keras": keras}
        model.describe(dict(identity, module=self._module_name))
        return model

    def _load_keras(self) -> TensorflowModel:
        tensorflow = self._module
        if self._call == "signature":
            raise LoadFailure("call: signature is for a SavedModel, and this is a Keras model")
        try:
            # `safe_mode` leaves out code that a file brings along.
            model = tensorflow.keras.models.load_model(self._model_path, compile=False, safe_mode=True)
        except (OSError, TypeError, ValueError) as error:
            raise LoadFailure(f"Keras does not load the model: {describe(error)}") from error
        slots = [self._slot(given.name, list(given.shape), _dtype_name(given.dtype)) for given in model.inputs]
        names = [made.name for made in model.outputs]
        calls: dict[str, Callable[[list[Any]], Any]] = {
            "predict": _quiet(model.predict),
            "predict_on_batch": model.predict_on_batch,
            "model": _inferring(model),
        }
        call = calls.get(self._call) or self._traced(_inferring(model), slots)
        made = TensorflowModel(tensorflow, slots, names, call)
        made.takes_arrays = self._call.startswith("predict")
        return made

    def _load_saved_model(self, folder: str) -> TensorflowModel:
        tensorflow = self._module
        if self._call in _EAGER:
            raise LoadFailure(f"call: {self._call} is for a Keras model, and this is a SavedModel")
        try:
            loaded = tensorflow.saved_model.load(folder)
        except (OSError, ValueError) as error:
            raise LoadFailure(f"TensorFlow does not load the SavedModel: {describe(error)}") from error
        signature = loaded.signatures.get(_SIGNATURE)
        if signature is None:
            known = ", ".join(sorted(loaded.signatures)) or "none"
            raise LoadFailure(f"the SavedModel has no signature {_SIGNATURE}; it has {known}")
        given = sorted(signature.structured_input_signature[1].items())
        slots = [self._slot(name, _sizes(spec), spec.dtype.name) for name, spec in given]
        names = sorted(signature.structured_outputs)

        def call(values: list[Any]) -> Any:
            return signature(**{slot.name: value for slot, value in zip(slots, values)})

        called = call if self._call == "signature" else self._traced(call, slots)
        made = TensorflowModel(tensorflow, slots, names, called)
        made.keeps = loaded
        return made

    def _slot(self, name: str, sizes: list[int | None] | None, dtype: str) -> InputSlot:
        shape = batched_shape(name, sizes, self._declared, self._batch, can_resize=False)
        return InputSlot(name, shape, dtype, batch=self._batch or 1)

    def _traced(self, call: Callable[[list[Any]], Any], slots: Sequence[InputSlot]) -> Callable[[list[Any]], Any]:
        """Return a call traced for the very shapes of the inputs, and compiled by XLA where the sweep says so."""
        tensorflow = self._module
        specs = [tensorflow.TensorSpec(slot.shape, slot.dtype, name=f"input_{at}") for at, slot in enumerate(slots)]
        traced = tensorflow.function(lambda *values: call(list(values)), jit_compile=self._call == "xla" or None)
        try:
            concrete = traced.get_concrete_function(*specs)
        except (TypeError, ValueError) as error:
            raise LoadFailure(f"TensorFlow does not trace the model: {describe(error)}") from error
        return lambda values: concrete(*values)


class TensorflowModel(LoadedModel):
    """A model with the call that the sweep asks for. Inputs lie in arrays or tensors, made before the call."""

    takes_arrays = False
    keeps: object = None
    """What must live as long as the call."""

    def __init__(
        self, tensorflow: Any, slots: list[InputSlot], names: Sequence[str], call: Callable[[list[Any]], Any]
    ) -> None:
        self._tensorflow = tensorflow
        self._call = call
        self._given: list[Any] = []
        self._made: Any = None
        self._identity: dict[str, Any] = {}
        self.inputs = slots
        self.output_names = list(names)
        self.invoke = self._invoke

    def describe(self, identity: dict[str, Any]) -> None:
        """Take the identity of what executes."""
        self._identity = identity

    def _invoke(self) -> None:
        self._made = self._call(self._given)

    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return inputs in the model's dtypes. Values for a dtype of whole numbers are rounded."""
        return [_encode(value, slot) for value, slot in zip(values, self.inputs)]

    def set_inputs(self, encoded: list[Any]) -> None:
        """Make the inputs of the next calls: arrays for `predict` and `predict_on_batch`, else tensors."""
        constant = self._tensorflow.constant
        self._given = list(encoded) if self.takes_arrays else [constant(value) for value in encoded]

    def get_outputs(self) -> list[Any]:
        """Return the outputs as arrays. A map of outputs comes in the order of names."""
        import numpy

        return [numpy.asarray(value) for value in self._tensorflow.nest.flatten(self._made)]

    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32. Whatever is no real number stays as it is."""
        import numpy

        return [value.astype(numpy.float32) if value.dtype.kind in "fiub" else value for value in outputs]

    def identity(self) -> dict[str, Any]:
        """Return the identity. TensorFlow has no interface to learn which kernels ran, so `kernels` is None."""
        import numpy

        found = {
            "numpy": numpy.__version__,
            "devices": [one.device_type for one in self._tensorflow.config.get_visible_devices()],
            "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
            "input_dtypes": [slot.dtype for slot in self.inputs],
            "output_dtypes": [value.dtype.name for value in self.get_outputs()],
            "kernels": None,
        }
        found.update(self._identity)
        return found


def _quiet(predict: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    # A progress bar would be most of what is measured; people switch it off where they call in a loop.
    return lambda values: predict(values if len(values) > 1 else values[0], verbose=0)


def _inferring(model: Any) -> Callable[[list[Any]], Any]:
    return lambda values: model(values if len(values) > 1 else values[0], training=False)


def _sizes(spec: Any) -> list[int | None] | None:
    return None if spec.shape.rank is None else list(spec.shape.as_list())


def _dtype_name(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))


def _encode(value: Any, slot: InputSlot) -> Any:
    import numpy

    if slot.dtype not in numpy.sctypeDict:
        raise LoadFailure(f"input {slot.name!r} is of dtype {slot.dtype}")
    dtype = numpy.dtype(slot.dtype)
    if dtype.kind not in "fiub":
        raise LoadFailure(f"input {slot.name!r} is of dtype {dtype.name}")
    return encode_plain(value, slot)


def _unpacked(path: str, beside: str) -> str | None:
    """Unpack the archive of a SavedModel in the trial's folder, and return its folder; None for a Keras model."""
    is_zip = zipfile.is_zipfile(path)
    # A .keras file is a zip, too.
    if is_zip and not path.endswith(".zip"):
        return None
    if not is_zip and not tarfile.is_tarfile(path):
        return None
    folder = tempfile.mkdtemp(prefix="saved-model-", dir=beside)
    try:
        (_unzip if is_zip else _untar)(path, folder)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise LoadFailure(f"the archive of the SavedModel does not unpack: {describe(error)}") from error
    for root, folders, files in os.walk(folder):
        folders.sort()
        if "saved_model.pb" in files:
            return root
    raise LoadFailure("the archive holds no saved_model.pb")


def _unzip(path: str, folder: str) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _refuse_too_much(len(members), sum(member.file_size for member in members))
        for member in members:
            archive.extract(member, folder)  # a name that leads outside is made to stay inside


def _untar(path: str, folder: str) -> None:
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        _refuse_too_much(len(members), sum(member.size for member in members))
        for member in members:
            parts = member.name.split("/")
            if not (member.isfile() or member.isdir()) or ".." in parts or member.name.startswith("/"):
                raise LoadFailure(f"the archive of the SavedModel holds {member.name!r}, which is no file within")
            target = os.path.join(folder, *parts)
            if member.isdir():
                os.makedirs(target, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            source = archive.extractfile(member)
            assert source is not None
            with source, open(target, "wb") as file:
                shutil.copyfileobj(source, file)


def _refuse_too_much(members: int, size: int) -> None:
    if members > _MEMBERS_MAX or size > _BYTES_MAX:
        raise LoadFailure(f"the archive of the SavedModel has {members} members of {size} bytes: too much")
