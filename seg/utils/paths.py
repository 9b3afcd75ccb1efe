"""Where the package's own files are, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def config_dir() -> Path:
    """The folder with the shipped configurations.

    Returns:
        ``seg/configs`` of an installed wheel, or ``configs`` beside ``seg`` in a checkout.

    Raises:
        FileNotFoundError: If neither exists.
    """
    candidates = (_PACKAGE / 'configs', _PACKAGE.parent / 'configs')
    for candidate in candidates:
        if (candidate / '_base_').is_dir():
            return candidate
    raise FileNotFoundError(
        f'configurations: expected {candidates[0]} (wheel) or {candidates[1]} (checkout), found '
        'neither. Reinstall the package, or use a complete checkout.'
    )


def asset(name: str) -> Path:
    """A file that ships inside the package, such as the embedded weights.

    Args:
        name: Path relative to ``seg/assets``.

    Raises:
        FileNotFoundError: If there is no such file; the text lists those that exist.
    """
    folder = _PACKAGE / 'assets'
    path = folder / name
    if not path.is_file():
        known = sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file())
        raise FileNotFoundError(
            f'asset {name!r}: expected a file in {folder}, which has '
            f'{", ".join(known) or "none"}. Reinstall the package, or use a complete checkout.'
        )
    return path
