"""Load the signature of a SavedModel for the servers beside this file. Every server then runs the same function."""

import os
import shutil

import tensorflow

SIGNATURE = "serving_default"


class SavedModel:
    """The signature `serving_default` of the SavedModel whose archive benchfleet laid down.

    `inputs` and `outputs` map names to what TensorFlow says of each: dtype and shape.
    """

    def __init__(self):
        threads = int(os.environ.get("BENCHFLEET_SETTING_THREADS", "1"))
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        shutil.unpack_archive(os.environ["BENCHFLEET_MODEL"], "model")
        self._model = tensorflow.saved_model.load(_folder_of("model"))  # held: the function lives as long
        self._function = self._model.signatures[SIGNATURE]
        self.inputs = self._function.structured_input_signature[1]
        self.outputs = self._function.structured_outputs

    def run(self, arrays):
        """Return the arrays of the outputs for arrays of the inputs, both by name."""
        given = {name: tensorflow.constant(arrays[name], self.inputs[name].dtype) for name in self.inputs}
        return {name: output.numpy() for name, output in self._function(**given).items()}


def sizes_of(spec):
    """Return the sizes of an input or output, -1 where open."""
    return [-1 if size is None else int(size) for size in spec.shape]


def _folder_of(parent):
    """Return the folder with the SavedModel: the archive itself, or the only folder there."""
    for folder, _, names in os.walk(parent):
        if "saved_model.pb" in names:
            return folder
    raise SystemExit("the archive has no saved_model.pb")
