"""Copies of a good file with something wrong in them, always the same for one seed."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ODD_NUMBERS = (0, -1, 1, 7, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 10**100)

ODD_TEXTS = (
    "", "32", "-1", "../x.tar", "/etc/passwd", "nan", "\0", "\ud800", "=1+1", "<script>",
    "x" * 5000, "\x1b[2J\n", "$\\frac{$", "é" * 300,
)  # fmt: skip

ODD_VALUES = (
    *ODD_NUMBERS, *ODD_TEXTS, None, True, 0.5, -1e308, 1e308, float("inf"), float("nan"), [], {},
    [[]], [0] * 50, {"": 0},
)  # fmt: skip


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Some bytes overwritten, taken out, put in, doubled, moved or cut off."""
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at, size = rng.randrange(len(spoilt) + 1), rng.choice((1, 1, 2, 4, 8, 64, 700))
        part = spoilt[at : at + size]
        number = rng.choice(ODD_NUMBERS) % 2**64
        width = rng.choice((1, 2, 4, 8))
        match rng.randrange(8):
            case 0 | 1 if part:
                spoilt[at] ^= 1 << rng.randrange(8)
            case 2:
                spoilt[at : at + size] = rng.randbytes(len(part))
            case 3:
                del spoilt[at : at + size]
            case 4:
                spoilt[at:at] = part * rng.choice((1, 9)) or rng.randbytes(size)
            case 5:
                there = rng.randrange(len(spoilt) + 1)
                spoilt[there : there + size] = part
            case 6:
                order = rng.choice(("little", "big"))
                spoilt[at : at + width] = (number % 256**width).to_bytes(width, order)
            case 7 if rng.random() < 0.3:
                del spoilt[at:]
    return bytes(spoilt)


def damaged_text(data: bytes, rng: random.Random) -> bytes:
    """A number in it swapped for an odd one, a word for another, lines mixed; or as any bytes."""
    places = list(re.finditer(rb"-?\d+", data))
    lines = data.splitlines(keepends=True)
    match rng.randrange(4):
        case 0 if places:
            place = rng.choice(places)
            new = str(rng.choice(ODD_NUMBERS)).encode()
            return data[: place.start()] + new + data[place.end() :]
        case 1 if lines:
            first, other = (rng.randrange(len(lines)) for _ in range(2))
            lines[first] = lines[other]
            return b"".join(lines)
        case 2 if lines:
            line = rng.randrange(len(lines))
            text = rng.choice(ODD_TEXTS).encode("utf-8", "surrogatepass")
            lines[line] = lines[line].replace(rng.choice((b" ", b",", b":", b"\n")), text)
            return b"".join(lines)
    return damaged(data, rng)


def damaged_json(data: bytes, rng: random.Random) -> bytes:
    """A value in it swapped for an odd one, taken out, or buried deep; or as any text."""
    content = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in value if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], dict | list):
                walk(value[key])

    if not isinstance(content, dict | list) or rng.random() < 0.3:
        return damaged_text(data, rng)
    walk(content)
    for _ in range(rng.choice((1, 1, 3))):
        inside, key = rng.choice(places)
        if isinstance(inside, dict) and key not in inside:
            continue
        match rng.randrange(6):
            case 0 if isinstance(inside, dict):
                del inside[key]
            case 1 if isinstance(inside, dict):
                inside[rng.choice(ODD_TEXTS)] = inside[key]
            case 2:
                for _ in range(rng.choice((3, 150, 250))):
                    inside[key] = [inside[key]]
            case 3:
                inside[key] = rng.choice(places)[1]
            case _:
                inside[key] = rng.choice(ODD_VALUES)
    return json.dumps(content).encode("utf-8", "surrogatepass")


def damage_parquet(path: Path, rng: random.Random) -> None:
    """A column with other values, of another type, twice or not at all; or as any bytes."""
    table = pq.read_table(path)
    if rng.random() < 0.4 or not len(table):
        path.write_bytes(damaged(path.read_bytes(), rng))
        return
    place = rng.randrange(table.num_columns)
    field, values = table.schema.field(place), table.column(place).to_pylist()
    columns, fields = list(table.columns), list(table.schema)
    metadata = table.schema.metadata
    match rng.randrange(6):
        case 0:
            del columns[place], fields[place]
        case 1:
            kind = rng.choice((pa.string(), pa.int64(), pa.float64(), pa.binary(), pa.bool_()))
            texts = pa.array([str(rng.choice(ODD_TEXTS[:3])) for _ in values])
            columns[place] = texts if kind == pa.string() else pa.nulls(len(table), kind)
            fields[place] = pa.field(field.name, columns[place].type)
        case 2:
            values[rng.randrange(len(values))] = None
        case 3:
            metadata = {k: damaged_json(v, rng) for k, v in metadata.items()} if metadata else None
        case 4:
            rng.shuffle(values)
        case 5:
            odd = _odd_value(field.type, values[0], rng)
            for _ in range(rng.choice((1, len(values)))):
                values[rng.randrange(len(values))] = odd
    if place < len(fields) and fields[place].equals(field):
        columns[place] = pa.array(values, field.type)
    changed = pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata))
    pq.write_table(changed, path, compression=rng.choice(("snappy", "zstd", "none")))


def _odd_value(kind: pa.DataType, value: Any, rng: random.Random) -> Any:
    if pa.types.is_integer(kind):
        return rng.choice([n for n in ODD_NUMBERS if n < 2 ** (kind.bit_width - 1) and (n >= 0)])
    if pa.types.is_floating(kind):
        return rng.choice((-1.0, 2.0, float("inf"), float("-inf"), float("nan")))
    if pa.types.is_string(kind):
        return rng.choice((*ODD_TEXTS[:7], "k" * 10**6))
    if pa.types.is_struct(kind) and value is not None:
        name = rng.choice(list(value))
        odd = rng.choice(ODD_TEXTS[:7]) if name == "path" else damaged(value[name], rng)
        return {**value, name: odd}
    return None if pa.types.is_struct(kind) else not value
