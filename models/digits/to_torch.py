"""Write the network of `digits-fp32.tflite` as TorchScript, with the weights that the file holds, without PyTorch.

Run as `python to_torch.py digits-fp32.tflite digits-fp32.pt`; `recipe.py` does the same for what it trains. PyTorch is
no part of the recipe's tools, since its packages have gigabytes. A file of TorchScript is a zip archive: the code of
the network as text, the weights as bytes, and a pickle that names both. Format 3 is read by every PyTorch from 1.6 on.
"""

import os
import pickle
import struct
import sys
import zipfile
from pathlib import Path

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import numpy as np

FORMAT = "3\n"
ROOT = "digits"
EPOCH = (1980, 1, 1, 0, 0, 0)
ALIGNED = 64
"""PyTorch maps weights from the file, and wants each at a multiple of this."""
NAMES = (
    *("first_kernel", "first_bias", "second_kernel", "second_bias"),
    *("hidden_kernel", "hidden_bias", "last_kernel", "last_bias"),
)
CODE = """\
class Digits(Module):
  __parameters__ = [{names}]
  __buffers__ = []
  training : bool
{fields}
  def forward(self: __torch__.Digits,
    image: Tensor) -> Tensor:
    channels = torch.permute(image, [0, 3, 1, 2])
    conv1 = torch.conv2d(channels, self.first_kernel, self.first_bias, [1, 1], [1, 1], [1, 1], 1)
    pool1 = torch.max_pool2d(torch.relu(conv1), [2, 2], [2, 2], [0, 0], [1, 1], False)
    conv2 = torch.conv2d(pool1, self.second_kernel, self.second_bias, [1, 1], [1, 1], [1, 1], 1)
    pool2 = torch.max_pool2d(torch.relu(conv2), [2, 2], [2, 2], [0, 0], [1, 1], False)
    channels_last = torch.permute(pool2, [0, 2, 3, 1])
    row = torch.flatten(channels_last, 1, -1)
    dense1 = torch.linear(row, self.hidden_kernel, self.hidden_bias)
    dense2 = torch.linear(torch.relu(dense1), self.last_kernel, self.last_bias)
    return torch.softmax(dense2, 1)
"""


def to_torch(weights: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, bytes]:
    """Return the members of the archive by name, from kernel and bias of each layer as TensorFlow Lite has them."""
    first, second, hidden, last = weights
    arrays = [
        # TensorFlow Lite keeps kernels as output, height, width, input; PyTorch as output, input, height, width
        *(first[0].transpose(0, 3, 1, 2), first[1], second[0].transpose(0, 3, 1, 2), second[1]),
        *(hidden[0], hidden[1], last[0], last[1]),
    ]
    tensors = dict(zip(NAMES, (np.ascontiguousarray(one, "<f4") for one in arrays), strict=True))
    quoted = ", ".join(f'"{name}"' for name in tensors)
    code = CODE.format(names=quoted, fields="\n".join(f"  {name} : Tensor" for name in tensors))
    return {
        "data.pkl": pickled(tensors),
        "code/__torch__.py": code.encode(),
        **{f"data/{place}": tensor.tobytes() for place, tensor in enumerate(tensors.values())},
        "constants.pkl": pickle.PROTO + b"\x02" + pickle.EMPTY_TUPLE + pickle.STOP,
        "version": FORMAT.encode(),
    }


def pickled(tensors: dict[str, np.ndarray]) -> bytes:
    """Return the pickle of the network: an object of the class in the code, with tensors that name their bytes.

    The opcodes are written one by one, since pickling itself wants the classes of PyTorch.
    """
    fields = [text("training"), pickle.NEWFALSE]
    for place, (name, tensor) in enumerate(tensors.items()):
        strides = [stride // tensor.itemsize for stride in tensor.strides]
        storage = [text("storage"), named("torch", "FloatStorage"), text(str(place)), text("cpu"), number(tensor.size)]
        fields += [
            *(text(name), named("torch._utils", "_rebuild_tensor_v2")),
            *(pickle.MARK, pickle.MARK, *storage, pickle.TUPLE, pickle.BINPERSID, number(0)),
            *(pickle.MARK, *map(number, tensor.shape), pickle.TUPLE),
            *(pickle.MARK, *map(number, strides), pickle.TUPLE),
            *(pickle.NEWFALSE, named("collections", "OrderedDict"), pickle.EMPTY_TUPLE, pickle.REDUCE),
            *(pickle.TUPLE, pickle.REDUCE),
        ]
    return b"".join(
        [
            *(pickle.PROTO, b"\x02", named("__torch__", "Digits"), pickle.EMPTY_TUPLE, pickle.NEWOBJ),
            *(pickle.EMPTY_DICT, pickle.MARK, *fields, pickle.SETITEMS, pickle.BUILD, pickle.STOP),
        ]
    )


def text(value: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return pickle.BININT + struct.pack("<i", value)


def named(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def write_archive(file: Path, members: dict[str, bytes]) -> None:
    """Write the members into an archive as PyTorch lays it out: uncompressed, and each aligned."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(f"{ROOT}/{name}", EPOCH)
            info.create_system = 3
            # Local header of 30 bytes, the name, and an extra field whose own header has 4 bytes.
            begin = archive.fp.tell() + 30 + len(info.filename) + 4
            padding = -begin % ALIGNED
            info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
            archive.writestr(info, content)


def main() -> None:
    from to_onnx import read_weights

    if len(sys.argv) != 3:
        sys.exit("usage: python to_torch.py FILE.tflite FILE.pt")
    write_archive(Path(sys.argv[2]), to_torch(read_weights(Path(sys.argv[1]).read_bytes())))


if __name__ == "__main__":
    main()
