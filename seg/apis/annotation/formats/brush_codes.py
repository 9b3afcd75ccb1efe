"""Label Studio's run-length code of brush strokes.

A stream of bits: 32 for the number of words, 5 for the size of a word less one, four times 4 for
sizes of lengths less one; then runs: one bit tells repeated words from words listed one by one, two
bits choose the size of the length, then the length less one, then one word or all of them. The
words are the channels of an RGBA picture, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seg.utils.checks import UserError

_WORD = 8
_LENGTH_SIZES = (3, 4, 8, 16)
_CHANNELS = 4


def encode_brush(mask: np.ndarray) -> list[int]:
    """Code of a mask (H, W), bool, as bytes."""
    words = np.repeat(mask.ravel(), _CHANNELS)
    bits = [f'{words.size:032b}', f'{_WORD - 1:05b}', *(f'{s - 1:04b}' for s in _LENGTH_SIZES)]
    edges = np.flatnonzero(np.diff(words)) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.concatenate([starts, [words.size]]))
    for start, whole in zip(starts.tolist(), lengths.tolist(), strict=True):
        value = '11111111' if words[start] else '00000000'
        length = whole
        while length > 0:
            part = min(length, 1 << _LENGTH_SIZES[-1])
            kind = next(k for k, size in enumerate(_LENGTH_SIZES) if part <= 1 << size)
            bits.append(f'1{kind:02b}{part - 1:0{_LENGTH_SIZES[kind]}b}{value}')
            length -= part
    stream = ''.join(bits)
    stream += '0' * (-len(stream) % 8)
    return np.packbits(np.frombuffer(stream.encode('ascii'), np.uint8) - ord('0')).tolist()


def decode_brush(code: Sequence[int], size: tuple[int, int], where: str) -> np.ndarray:
    """The mask of a code, (H, W), bool; what is more than half opaque belongs to it.

    Raises:
        UserError: If it is malformed, or of another size.
    """
    if not isinstance(code, list) or not all(type(v) is int and 0 <= v < 256 for v in code):
        raise UserError(f'{where}: expected a brush code of bytes, got something else')
    reader = _Bits(code, where)
    count, word = reader.take(32), reader.take(5) + 1
    if count != size[0] * size[1] * _CHANNELS or word != _WORD:
        raise UserError(
            f'{where}: expected a brush code of {size[1]} x {size[0]} pixels in words of {_WORD} '
            f'bits, got {count} words of {word}'
        )
    sizes = [reader.take(4) + 1 for _ in range(4)]
    words = np.zeros(count, np.uint8)
    place = 0
    while place < count:
        repeated = reader.take(1)
        length = reader.take(sizes[reader.take(2)]) + 1
        if place + length > count:
            raise UserError(f'{where}: expected a brush code of {count} words, got more')
        if repeated:
            words[place : place + length] = reader.take(word)
        else:
            words[place : place + length] = [reader.take(word) for _ in range(length)]
        place += length
    return (words.reshape(-1, _CHANNELS)[:, -1] > 127).reshape(size)


class _Bits:
    """Reads numbers from a stream of bits."""

    def __init__(self, code: Sequence[int], where: str) -> None:
        self.bits = np.unpackbits(np.array(code, np.uint8)).astype(str)
        self.text, self.place, self.where = ''.join(self.bits.tolist()), 0, where

    def take(self, count: int) -> int:
        """The next ``count`` bits as a number."""
        chunk = self.text[self.place : self.place + count]
        if len(chunk) < count:
            raise UserError(f'{self.where}: expected a whole brush code, got one that is cut off')
        self.place += count
        return int(chunk, 2)
