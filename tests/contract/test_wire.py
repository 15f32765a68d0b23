"""The worker's messages and those of the makers' own library are the same bytes."""

from __future__ import annotations

from importlib import import_module

from device_worker.trial.wire import Message, data, number, numbers, text

descriptor_pb2 = import_module("google.protobuf.descriptor_pb2")  # without types, which are a package of their own
struct_pb2 = import_module("google.protobuf.struct_pb2")


def test_what_the_library_writes_is_read() -> None:
    written = descriptor_pb2.FileDescriptorProto(name="a.proto", dependency=["b", "c"], public_dependency=[3, -1])
    field = written.message_type.add(name="M").field.add(name="f", number=-5)
    field.options.deprecated = True
    message = Message(written.SerializeToString())
    assert (message.text(1), [one.decode() for one in message.data(3)]) == ("a.proto", ["b", "c"])
    assert message.numbers(10) == [3, -1]
    (inner,) = message.message(4).messages(2)
    assert (inner.text(1), inner.number(3), inner.message(8).number(3)) == ("f", -5, 1)


def test_what_is_written_the_library_reads() -> None:
    inner = text(1, "f") + number(3, -5)
    written = text(1, "a.proto") + data(4, text(1, "M") + data(2, inner)) + numbers(10, [3, -1])
    found = descriptor_pb2.FileDescriptorProto.FromString(written)
    assert (found.name, list(found.public_dependency)) == ("a.proto", [3, -1])
    assert (found.message_type[0].field[0].name, found.message_type[0].field[0].number) == ("f", -5)


def test_maps_of_the_library_are_read_by_key() -> None:
    struct = struct_pb2.Struct()
    struct.update({"a": "one", "b": "two"})
    found = Message(struct.SerializeToString()).by_key(1)
    assert {key: value.text(3) for key, value in found.items()} == {"a": "one", "b": "two"}
