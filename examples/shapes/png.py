"""Writes and reads PNG files: 8 bits a channel, not interlaced, nothing but zlib."""

import os
import struct
import zlib

from corpus import Refusal

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST = 4096
MOST_BYTES = 64 << 20
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}


def chunk(kind, data):
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def written(rows):
    """Returns the PNG file of rows of red, green and blue bytes."""
    header = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, RGB, 0, 0, 0)
    data = b"".join(b"\0" + bytes(row) for row in rows)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b"")
    return SIGNATURE + b"".join(chunk(kind, data) for kind, data in parts)


class Picture:
    """The pixels of a PNG file, of which each becomes red, green and blue when it is asked for."""

    def __init__(self, width, height, kind, rows, palette):
        self.width, self.height = width, height
        self.kind, self.rows, self.palette = kind, rows, palette

    def pixel(self, x, y):
        """Returns a pixel's red, green and blue; what is transparent becomes white."""
        channels = CHANNELS[self.kind]
        values = tuple(self.rows[y][x * channels : (x + 1) * channels])
        if self.kind == RGB:
            return values
        if self.kind == PALETTE:
            values = self.palette[values[0]]
        if len(values) < 3:
            values = values[:1] * 3 + values[1:]
        red, green, blue, alpha = (values + (255,))[:4]
        if alpha < 255:
            red, green, blue = (255 - (255 - v) * alpha // 255 for v in (red, green, blue))
        return red, green, blue


def load(path):
    """Returns the picture in a file, or refuses it in a sentence that names it."""
    if not os.path.isfile(path):
        raise Refusal(f"{path} is not a file")
    with open(path, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Refusal(f"{path} has more than {MOST_BYTES >> 20} MiB")
    try:
        return read(data)
    except Refusal as refusal:
        raise Refusal(f"{path} is not a PNG that can be read: {refusal}") from None


def read(data):
    """Returns the picture in a PNG file's bytes."""
    chunks = parts(data)
    header = chunks.get(b"IHDR", b"")
    if len(header) != 13:
        raise Refusal("it has no sound header")
    width, height, depth, kind, compression, filtering, interlace = struct.unpack(
        ">IIBBBBB", header
    )
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise Refusal(f"it has {width} x {height} pixels, and {LARGEST} either way are allowed")
    if depth != 8 or kind not in CHANNELS or compression or filtering or interlace:
        raise Refusal("only 8 bits a channel without interlacing are read")
    length = CHANNELS[kind] * width
    rows = unfiltered(inflated(chunks.get(b"IDAT", b""), height * (length + 1)), length, kind)
    colours = palette(chunks)
    if kind == PALETTE and max(map(max, rows)) >= len(colours):
        raise Refusal("a pixel's colour is not in its palette")
    return Picture(width, height, kind, rows, colours)


def parts(data):
    """Returns the data of a PNG file's chunks by kind; chunks of the same kind are joined."""
    if not data.startswith(SIGNATURE):
        raise Refusal("it begins with other bytes")
    found, place, kind = {}, len(SIGNATURE), b""
    while kind != b"IEND":
        if place + 12 > len(data):
            raise Refusal("it is cut short")
        size, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + size
        if end > len(data):
            raise Refusal("it is cut short")
        body = data[place + 8 : end - 4]
        if data[place:end] != chunk(kind, body):
            raise Refusal("a checksum is wrong")
        found.setdefault(kind, []).append(body)
        place = end
    return {kind: b"".join(bodies) for kind, bodies in found.items()}


def inflated(data, size):
    """Returns `size` bytes, which is what `data` must hold."""
    try:
        pixels = zlib.decompressobj().decompress(data, size + 1)
    except zlib.error:
        raise Refusal("its pixels cannot be decompressed") from None
    if len(pixels) != size:
        raise Refusal("it has too few or too many pixels")
    return pixels


def unfiltered(data, length, kind):
    """Returns the rows of `length` bytes, each of which was written as differences."""
    rows, above, step = [], bytes(length), CHANNELS[kind]
    for start in range(0, len(data), length + 1):
        method, row = data[start], bytearray(data[start + 1 : start + 1 + length])
        if method > 4:
            raise Refusal(f"there is no filter {method}")
        if method == 2:
            row = bytearray((a + b) & 255 for a, b in zip(row, above))
        elif method:
            predict = PREDICTORS[method]
            # Left of the first pixel, and above that, is 0: `row` begins one pixel early.
            row, corners = bytearray(step) + row, bytes(step) + above
            for index, up in enumerate(above):
                guess = predict(row[index], up, corners[index])
                row[index + step] = (row[index + step] + guess) & 255
            row = row[step:]
        rows.append(row)
        above = row
    return rows


def nearest_neighbour(left, up, corner):
    """Returns which of three neighbours is nearest to left + up - corner (Paeth's predictor)."""
    across, down, both = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if across <= down and across <= both:
        return left
    return up if down <= both else corner


PREDICTORS = {
    1: lambda left, up, corner: left,
    3: lambda left, up, corner: (left + up) // 2,
    4: nearest_neighbour,
}


def palette(chunks):
    """Returns the colours of a palette, each with its alpha."""
    colours, alphas = chunks.get(b"PLTE", b""), chunks.get(b"tRNS", b"")
    triples = [tuple(colours[start : start + 3]) for start in range(0, len(colours) - 2, 3)]
    opaque = bytes([255]) * len(triples)
    return [triple + (alpha,) for triple, alpha in zip(triples, alphas + opaque[len(alphas) :])]
