"""Which versions of the OpenMMLab hosts the package runs on, and what to do about others."""

from __future__ import annotations

from importlib import metadata
from typing import NamedTuple

from seg.utils.checks import UserError


class Host(NamedTuple):
    """One host package.

    Attributes:
        module: Its import name.
        distribution: What provides it on PyPI.
        window: Versions the package runs on; the same as in ``requirements/runtime.txt``.
        originals: Older distributions that install files under the same import name.
    """

    module: str
    distribution: str
    window: str
    originals: tuple[str, ...]


HOSTS = (
    Host('mmengine', 'onedl-mmengine', '>=0.10.12,<0.11', ('mmengine', 'mmengine-lite')),
    Host('mmcv', 'onedl-mmcv', '>=2.3.6,<2.4', ('mmcv', 'mmcv-full', 'mmcv-lite')),
    Host('mmdet', 'onedl-mmdetection', '>=3.5.1,<3.6', ('mmdet',)),
)


def check_host_versions() -> None:
    """Check which distributions provide the hosts, without importing any of them.

    Raises:
        UserError: If one is missing, is outside its window, or if its original is installed,
            whose files have the same names.
    """
    for host in HOSTS:
        _check_originals(host)
        _check_window(host)


def _check_originals(host: Host) -> None:
    for name in host.originals:
        version = _installed_version(name)
        if version is None:
            continue
        raise UserError(
            f'the distribution {name} {version} is installed and writes the same files '
            f'({host.module}/) as {host.distribution}, which this package needs. '
            f'Fix: pip uninstall -y {name} {host.distribution} && {_install_command(host)}'
        )


def _check_window(host: Host) -> None:
    version = _installed_version(host.distribution)
    if version is None:
        raise UserError(
            f'{host.module}: expected {host.distribution}{host.window}, found none installed. '
            f'Fix: {_install_command(host)}'
        )
    from packaging.specifiers import SpecifierSet

    if not SpecifierSet(host.window).contains(version, prereleases=True):
        raise UserError(
            f'{host.module}: expected {host.distribution}{host.window}, found {version}. '
            f'Fix: {_install_command(host)}'
        )


def _install_command(host: Host) -> str:
    return f"pip install '{host.distribution}{host.window}'"


def _installed_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
