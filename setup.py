"""Packaging: the packages, their requirements and the configurations as package data."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def read_requirements(path: Path) -> list[str]:
    """The requirements in a file, without comments and blank lines."""
    lines = (line.split('#')[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def read_version() -> str:
    """``__version__`` of the package, read without importing it."""
    match = re.search(r"^__version__ = '(.+)'$", (ROOT / 'seg/__init__.py').read_text(), re.M)
    assert match, 'seg/__init__.py has no __version__'
    return match.group(1)


def read_extras() -> dict[str, list[str]]:
    """Extras: ``dev``, one per file in ``requirements/extras``, and ``all`` of the latter."""
    files = sorted((ROOT / 'requirements/extras').glob('*.txt'))
    extras = {path.stem: read_requirements(path) for path in files}
    if extras:
        extras['all'] = sorted({name for names in extras.values() for name in names})
    return {'dev': read_requirements(ROOT / 'requirements/dev.txt'), **extras}


readme = ROOT / 'README.md'

setup(
    name='rapsam',
    version=read_version(),
    description='Real-time segmentation of images and video for four tasks with one model',
    long_description=readme.read_text() if readme.exists() else '',
    long_description_content_type='text/markdown',
    author='The RapSAM authors',
    license='Apache-2.0',
    license_files=['LICENSE'],
    python_requires='>=3.10,<3.14',
    # The configurations live beside the package in a checkout and inside it in a wheel.
    packages=[*find_packages(include=['seg', 'seg.*', 'ext', 'ext.*']), 'seg.configs'],
    package_dir={'seg.configs': 'configs'},
    package_data={
        'seg': ['assets/*', 'assets/**/*', 'webui/static/*', 'py.typed'],
        'seg.configs': ['**/*.py', '**/*.md', '**/*.json'],
    },
    install_requires=read_requirements(ROOT / 'requirements/runtime.txt'),
    extras_require=read_extras(),
)
