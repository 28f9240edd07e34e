"""What the streams of codecs say of their pictures, for OpenCV, which does not tell."""

from itertools import islice

from datareader.clips.headers import Header

CODECS = {  # what containers call the codecs that can be looked at; y4m has no name for its own
    **dict.fromkeys(("avc1", "avc3", "h264", "x264"), "h264"),
    **dict.fromkeys(("hev1", "hvc1", "hevc", "h265"), "hevc"),
    **dict.fromkeys(("mp4v", "fmp4", "xvid", "divx", "dx50"), "mpeg4"),
    **dict.fromkeys(("mjpg", "jpeg"), "mjpeg"),
    **dict.fromkeys(("vp80", "vp08", "vp90", "vp09", "gif", ""), "plain"),
}
_ORIENTATION = 47  # number of a message (SEI)
_PROFILES_WITH_CHROMA = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}


class UnknownError(Exception):
    """A stream that is written in a way that is not read here."""


def read_stream(header: Header, codec: str, extradata: bytes, packet: bytes) -> None:
    """Add to a header what the stream says. Raises UnknownError.

    codec: a value of CODECS. extradata: its set-up. packet: the first, which OpenCV gives with start codes and with
    the sequence's parameters in front where the codec is H.264 or H.265.
    """
    if codec == "mjpeg":
        header.has_orientation |= b"Exif\0" in packet
    elif codec == "mpeg4":
        for unit in _split_units(extradata + packet):
            if unit[0] == 0xB5:
                _read_mpeg4_object(header, _Bits(unit[1:]))
            elif unit[0] >> 4 == 2:
                header.is_interlaced |= _is_interlaced_mpeg4(_Bits(unit[1:]))
    elif codec in ("h264", "hevc"):
        head, parameters, message = (1, 7, 6) if codec == "h264" else (2, 33, 39)
        units = [(_kind(codec, unit), unit[head:]) for unit in _split_units(packet)]
        if parameters not in dict(units):
            raise UnknownError
        for kind, unit in units:
            if kind == parameters:
                (_read_h264 if codec == "h264" else _read_hevc)(header, _Bits(unit))
            header.has_orientation |= kind == message and _ORIENTATION in _list_messages(unit)


class _Bits:
    """Numbers out of bits; behind the end there are as many zeros as wanted."""

    def __init__(self, data: bytes):
        self._bits = iter("".join(f"{byte:08b}" for byte in data))

    def take(self, count: int) -> int:
        return int("".join(islice(self._bits, count)) or "0", 2)

    def golomb(self) -> int:
        """An Exp-Golomb number, as if it had no sign."""
        zeros = 0
        while next(self._bits, "1") == "0":
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def skip(self, layout: str) -> None:
        """layout: numbers of bits, and ``g`` for Golomb's."""
        for part in layout.split():
            self.golomb() if part == "g" else self.take(int(part))


def _split_units(data: bytes) -> list[bytes]:
    """The units between start codes, without the bytes that keep start codes out of them."""
    return [unit.replace(b"\0\0\3", b"\0\0") for unit in data.split(b"\0\0\1")[1:] if unit]


def _kind(codec: str, unit: bytes) -> int:
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def _list_messages(unit: bytes) -> list[int]:
    """The numbers of the messages in a unit of them (SEI): ITU-T H.264, 7.3.2.3."""
    found, rest = [], iter(unit)

    def read() -> int:
        total = value = next(rest, 0)
        while value == 255:
            total += (value := next(rest, 0))
        return total

    while number := read():
        found.append(number)
        length = read()
        next(islice(rest, length, length), None)
    return found


def _read_h264(header: Header, bits: _Bits) -> None:
    """Sequence parameters: ITU-T H.264, 7.3.2.1.1."""
    profile = bits.take(8)
    bits.skip("16 g")
    if profile in _PROFILES_WITH_CHROMA:
        if bits.golomb() == 3:
            bits.skip("1")
        bits.skip("g g 1")
        if bits.take(1):
            raise UnknownError  # matrices for scaling
    bits.skip("g")
    order = bits.golomb()
    if order == 0:
        bits.skip("g")
    elif order == 1:
        bits.skip("1 g g")
        bits.skip("g " * min(bits.golomb(), 255))
    bits.skip("g 1 g g")
    if not bits.take(1):
        header.is_interlaced = True  # or may be
        bits.skip("1")
    bits.skip("1")
    if bits.take(1):
        bits.skip("g g g g")
    _read_usability(header, bits)


def _read_hevc(header: Header, bits: _Bits) -> None:
    """Sequence parameters: ITU-T H.265, 7.3.2.2.1."""
    bits.skip("4")
    sub_layers = bits.take(3)
    bits.skip("1 40")
    header.is_interlaced |= bits.take(2) == 1  # not progressive, but interlaced
    bits.skip("46 8")
    present = [bits.take(2) for _ in range(8 if sub_layers else 0)][:sub_layers]
    for flags in present:
        bits.skip("88 " * (flags >> 1) + "8" * (flags & 1))
    bits.skip("g")
    if bits.golomb() == 3:
        bits.skip("1")
    bits.skip("g g")
    if bits.take(1):
        bits.skip("g g g g")
    bits.skip("g g")
    order_bits = bits.golomb() + 4
    bits.skip("g g g" if not bits.take(1) else "g g g " * (sub_layers + 1))
    bits.skip("g g g g g g")
    if bits.take(1) and bits.take(1):
        raise UnknownError  # matrices for scaling
    bits.skip("1 1")
    if bits.take(1):
        bits.skip("4 4 g g 1")
    size = 0
    for i in range(min(bits.golomb(), 64)):
        size = _skip_reference_set(bits, i, size)
    if bits.take(1):
        bits.skip(f"{order_bits} 1 " * min(bits.golomb(), 32))
    bits.skip("1 1")
    _read_usability(header, bits)


def _skip_reference_set(bits: _Bits, number: int, size: int) -> int:
    """ITU-T H.265, 7.3.7. size: of the set before; returns the size of this one."""
    if number and bits.take(1):
        bits.skip("1 g")
        return sum(bits.take(1) or bits.take(1) for _ in range(size + 1))
    size = min(bits.golomb(), 16) + min(bits.golomb(), 16)
    bits.skip("g 1 " * size)
    return size


def _read_usability(header: Header, bits: _Bits) -> None:
    """What H.264 and H.265 have in common at the start of their usability information: ITU-T H.265, E.2.1."""
    if not bits.take(1):
        return
    if bits.take(1) and bits.take(8) == 255:
        bits.skip("32")
    if bits.take(1):
        bits.skip("1")
    _read_signal(header, bits)


def _read_signal(header: Header, bits: _Bits) -> None:
    if bits.take(1):
        bits.skip("4")
        if bits.take(1):
            header.colours.append((bits.take(8), bits.take(8)))


def _read_mpeg4_object(header: Header, bits: _Bits) -> None:
    """ISO 14496-2, 6.2.2."""
    if bits.take(1):
        bits.skip("7")
    if bits.take(4) in (1, 2):
        _read_signal(header, bits)


def _is_interlaced_mpeg4(bits: _Bits) -> bool:
    """ISO 14496-2, 6.2.3, of a video object layer with rectangular pictures."""
    bits.skip("9")
    if bits.take(1):
        bits.skip("7")
    if bits.take(4) == 15:
        bits.skip("16")
    if bits.take(1):
        bits.skip("3")
        if bits.take(1):
            bits.skip("79")
    bits.skip("3")
    ticks = bits.take(16)
    bits.skip("1")
    if bits.take(1):
        bits.skip(str(max(1, (ticks - 1).bit_length())))
    bits.skip("29")
    return bits.take(1) == 1
