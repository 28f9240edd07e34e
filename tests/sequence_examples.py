"""An independent writer of YouTube-8M's shards: Google's protobuf library, and a CRC-32C from its definition."""

import functools
import struct

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

MESSAGES = {  # message -> its fields: name, number, type
    "BytesList": [("value", 1, "repeated bytes")],
    "FloatList": [("value", 1, "packed float")],
    "Int64List": [("value", 1, "packed int64")],
    "UnpackedList": [("value", 1, "unpacked int64")],
    "Feature": [("bytes_list", 1, "BytesList"), ("float_list", 2, "FloatList"), ("int64_list", 3, "Int64List")],
    "UnpackedFeature": [("bytes_list", 1, "BytesList"), ("int64_list", 3, "UnpackedList")],
    "Features": [("feature", 1, "map Feature")],
    "UnpackedFeatures": [("feature", 1, "map UnpackedFeature")],
    "FeatureList": [("feature", 1, "repeated Feature")],
    "FeatureLists": [("feature_list", 1, "map FeatureList")],
    "SequenceExample": [("context", 1, "Features"), ("feature_lists", 2, "FeatureLists")],
    "UnpackedSequenceExample": [("context", 1, "UnpackedFeatures"), ("feature_lists", 2, "FeatureLists")],
    "Example": [("features", 1, "Features")],
}


@functools.cache
def message_class(name):
    """A class of TensorFlow's example.proto and feature.proto."""
    kinds = descriptor_pb2.FieldDescriptorProto
    scalars = {"bytes": kinds.TYPE_BYTES, "float": kinds.TYPE_FLOAT, "int64": kinds.TYPE_INT64}
    file = descriptor_pb2.FileDescriptorProto(name="made.proto", package="made", syntax="proto3")
    for message_name, fields in MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for field_name, number, text in fields:
            kind, type_name = text.split() if " " in text else ("one", text)
            field = message.field.add(name=field_name, number=number, label=kinds.LABEL_OPTIONAL)
            if kind != "one":
                field.label = kinds.LABEL_REPEATED
            if kind in ("packed", "unpacked"):
                field.options.packed = kind == "packed"
            if kind == "map":
                camel = "".join(part.title() for part in field_name.split("_"))
                entry = message.nested_type.add(name=f"{camel}Entry")
                entry.options.map_entry = True
                optional = kinds.LABEL_OPTIONAL
                entry.field.add(name="key", number=1, label=optional, type=kinds.TYPE_STRING)
                entry.field.add(
                    name="value", number=2, label=optional, type=kinds.TYPE_MESSAGE, type_name=f".made.{type_name}"
                )
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".made.{message_name}.{entry.name}"
            elif type_name in scalars:
                field.type = scalars[type_name]
            else:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".made.{type_name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"made.{name}"))


def serialize(record, id_key="id", packed=True):
    """A record of a pickle as a SequenceExample. segments: how many rated ones it has, as in the version of 2019."""
    example = message_class("SequenceExample" if packed else "UnpackedSequenceExample")()
    if "video" in record:
        example.context.feature[id_key].bytes_list.value.append(record["video"].encode())
    if "label" in record:
        example.context.feature["labels"].int64_list.value.extend(record["label"])
    if segments := record.get("segments"):
        starts = range(0, 5 * segments, 5)
        for name, values in (
            ("start_times", starts),
            ("end_times", starts),
            ("labels", [3] * segments),
        ):
            example.context.feature[f"segment_{name}"].int64_list.value.extend(values)
        example.context.feature["segment_scores"].float_list.value.extend([1.0] * segments)
    for name, key in (("rgb", "feature"), ("audio", "audio")):
        if key in record:
            frames = example.feature_lists.feature_list[name]
            for row in record[key]:
                frames.feature.add().bytes_list.value.append(row.tobytes())
    return example.SerializeToString(deterministic=True)


def serialize_means(record):
    """The Example of a video-level file."""
    example = message_class("Example")()
    example.features.feature["id"].bytes_list.value.append(record["video"].encode())
    example.features.feature["labels"].int64_list.value.extend(record["label"])
    for name, key in (("mean_rgb", "feature"), ("mean_audio", "audio")):
        example.features.feature[name].float_list.value.extend(record[key].mean(axis=0).tolist())
    return example.SerializeToString(deterministic=True)


def _crc_table():
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table.tolist()


_TABLE = _crc_table()


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data):
    """A TFRecord around data."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def write_shard(path, records, **options):
    """A shard of records; returns the byte at which each begins."""
    parts = [frame(serialize(record, **options)) for record in records]
    path.write_bytes(b"".join(parts))
    return np.cumsum([0, *map(len, parts[:-1])]).tolist()
