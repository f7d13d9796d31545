"""How values become bytes: MessagePack, JSON or Protocol Buffers. A codec is two functions; bring your own.

All endpoints of a cluster use the same one. Values are None, truth, integers of 64 bits, floats, text, bytes, lists and
mappings from text; JSON has no bytes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgpack

from workbench.apps.zinc.message import Malformed


@dataclass(frozen=True)
class Codec:
    """`encode` makes bytes of a value, `decode` the value of bytes."""

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    def read(self, data: bytes) -> Any:
        """Decode what came from elsewhere. Raises Malformed, whatever the bytes are."""
        try:
            return self.decode(data)
        except Exception as error:
            raise Malformed(f"{len(data)} bytes are no {self.name}: {error}") from error


def _to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _to_protobuf(value: Any) -> bytes:
    return bytes(_fill(_value_class()(), value).SerializeToString(deterministic=True))


def _from_protobuf(data: bytes) -> Any:
    return _take(_value_class().FromString(data))


MESSAGEPACK = Codec("MessagePack", lambda value: bytes(msgpack.packb(value)), msgpack.unpackb)
JSON = Codec("JSON", _to_json, json.loads)
PROTOBUF = Codec("Protocol Buffers", _to_protobuf, _from_protobuf)
CODECS = {"msgpack": MESSAGEPACK, "json": JSON, "protobuf": PROTOBUF}


@cache
def _value_class() -> Any:
    """The message of value.proto, described here so that no compiler of Protocol Buffers is needed:

    message Value {
      oneof kind { bool none = 1; bool truth = 2; sint64 integer = 3; double real = 4; string text = 5;
                   bytes data = 6; List list = 7; Map map = 8; }
    }
    message List { repeated Value items = 1; }
    message Map { map<string, Value> items = 1; }
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise ImportError("Protocol Buffers are not installed: pip install 'messaging-workbench[zinc]'") from error

    file = descriptor_pb2.FileDescriptorProto(name="zinc/value.proto", package="zinc", syntax="proto3")
    kinds: Any = descriptor_pb2.FieldDescriptorProto
    value = file.message_type.add(name="Value")
    value.oneof_decl.add(name="kind")
    fields = [
        ("none", kinds.TYPE_BOOL), ("truth", kinds.TYPE_BOOL), ("integer", kinds.TYPE_SINT64),
        ("real", kinds.TYPE_DOUBLE), ("text", kinds.TYPE_STRING), ("data", kinds.TYPE_BYTES),
        ("list", ".zinc.List"), ("map", ".zinc.Map"),
    ]  # fmt: skip
    for number, (name, kind) in enumerate(fields, 1):
        field = value.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL, oneof_index=0)
        if isinstance(kind, str):
            field.type, field.type_name = kinds.TYPE_MESSAGE, kind
        else:
            field.type = kind
    repeated = {"number": 1, "name": "items", "label": kinds.LABEL_REPEATED, "type": kinds.TYPE_MESSAGE}
    file.message_type.add(name="List").field.add(type_name=".zinc.Value", **repeated)
    mapping = file.message_type.add(name="Map")
    entry = mapping.nested_type.add(name="ItemsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_STRING)
    entry.field.add(
        name="value", number=2, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_MESSAGE, type_name=".zinc.Value"
    )
    mapping.field.add(type_name=".zinc.Map.ItemsEntry", **repeated)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("zinc.Value"))


def _fill(message: Any, value: Any) -> Any:
    if value is None:
        message.none = True
    elif isinstance(value, bool):
        message.truth = value
    elif isinstance(value, int):
        message.integer = value
    elif isinstance(value, float):
        message.real = value
    elif isinstance(value, str):
        message.text = value
    elif isinstance(value, bytes):
        message.data = value
    elif isinstance(value, list | tuple):
        message.list.SetInParent()
        for item in value:
            _fill(message.list.items.add(), item)
    elif isinstance(value, dict):
        message.map.SetInParent()
        for key, item in value.items():
            _fill(message.map.items[key], item)
    else:
        raise TypeError(f"a {type(value).__name__} is no value of a document")
    return message


def _take(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind is None:
        raise ValueError("a value of no kind")
    if kind == "none":
        return None
    if kind == "list":
        return [_take(item) for item in message.list.items]
    if kind == "map":
        return {key: _take(item) for key, item in message.map.items.items()}
    return getattr(message, kind)
