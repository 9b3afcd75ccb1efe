"""Uploaded files: told apart by their first bytes, measured before they are decoded."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

from PIL import Image

from seg.utils.checks import UserError
from seg.webui.settings import Limits

_SIGNATURES = (
    (b'\x89PNG\r\n\x1a\n', 0, '.png'),
    (b'\xff\xd8\xff', 0, '.jpg'),
    (b'WEBP', 8, '.webp'),
    (b'BM', 0, '.bmp'),
    (b'II*\0', 0, '.tif'),
    (b'MM\0*', 0, '.tif'),
    (b'GIF8', 0, '.gif'),
    (b'ftyp', 4, '.mp4'),
    (b'\x1a\x45\xdf\xa3', 0, '.webm'),
    (b'AVI ', 8, '.avi'),
)
_VIDEOS = ('.gif', '.mp4', '.webm', '.avi')
_MAX_MEMBERS = 5000
NUM_SIGNATURE_BYTES = 16


def suffix_of(start: bytes) -> str:
    """The suffix that belongs to the first bytes of a file, whatever it is called.

    Playlists and other files that name further files are none of these.

    Raises:
        UserError: If it is no image or video that is known.
    """
    for signature, place, suffix in _SIGNATURES:
        if start[place : place + len(signature)] == signature:
            return suffix
    raise UserError(
        'upload: expected an image (PNG, JPEG, WebP, BMP, TIFF) or a video (MP4, MOV, WebM, MKV, '
        'AVI, GIF), got a file of another kind'
    )


def measure(path: Path, limits: Limits) -> None:
    """Refuse a file whose frames are too many or too large, without decoding one.

    Raises:
        UserError: If it is, or cannot be read.
    """
    if path.suffix in _VIDEOS:
        _measure_video(path, limits)
        return
    try:
        with Image.open(path) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UserError('upload: expected a readable image, got a broken one') from None
    _check_pixels(width, height, limits)


def _measure_video(path: Path, limits: Limits) -> None:
    import av

    try:
        with av.open(str(path), metadata_errors='replace') as container:
            if not container.streams.video:
                raise UserError('upload: expected a video, got a file without pictures')
            stream = container.streams.video[0]
            _check_pixels(stream.codec_context.width, stream.codec_context.height, limits)
            frames = 0
            for packet in container.demux(stream):
                frames += packet.pts is not None
                if frames > limits.frames:
                    raise UserError(f'upload: expected at most {limits.frames} frames, got more')
    except av.error.FFmpegError:
        raise UserError('upload: expected a readable video, got a broken one') from None


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if not 0 < width * height <= limits.pixels:
        raise UserError(
            f'upload: expected at most {limits.pixels} pixels a frame, got {width} x {height}; '
            'scale it down first'
        )


def unpack(content: bytes, folder: Path, file_name: str, limits: Limits) -> None:
    """Lay uploaded annotations into a folder: a ZIP archive is unpacked, else it is one file.

    Args:
        content: What was uploaded.
        folder: Empty.
        file_name: The name that a single file gets.
        limits: Bounds.

    Raises:
        UserError: If an archive is broken or too large, or a member leads out of the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not content.startswith(b'PK\x03\x04'):
        _check_annotations(len(content), limits)
        (folder / file_name).write_bytes(content)
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            total = sum(member.file_size for member in members)
            if len(members) > _MAX_MEMBERS or total > limits.archive_bytes:
                raise UserError(
                    f'import: expected at most {_MAX_MEMBERS} files and {limits.archive_bytes} '
                    'bytes in an archive, got more'
                )
            for member in members:
                if not member.filename.lower().endswith('.png'):
                    _check_annotations(member.file_size, limits)
                target = folder.joinpath(*_parts(member.filename))
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as file:
                    target.write_bytes(file.read(member.file_size))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError):
        raise UserError('import: expected a readable ZIP archive, got a broken one') from None


def _check_annotations(size: int, limits: Limits) -> None:
    """Refuse files that would grow beyond the memory when they are read."""
    if size > limits.annotation_bytes:
        raise UserError(
            f'import: expected at most {limits.annotation_bytes} bytes of annotations in a file, '
            f'got {size}; split it'
        )


def _parts(name: str) -> tuple[str, ...]:
    """Folders and name of a member that stays inside.

    Raises:
        UserError: If it would not.
    """
    path = PurePosixPath(name.replace('\\', '/'))
    if path.is_absolute() or not path.parts or any(p in ('..', '') or ':' in p for p in path.parts):
        raise UserError('import: expected names inside of the archive, got one that leads out')
    return path.parts
