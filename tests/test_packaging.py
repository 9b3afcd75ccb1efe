import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# Import name -> distribution, where they differ.
DISTRIBUTIONS = {
    'mmengine': 'onedl-mmengine',
    'mmcv': 'onedl-mmcv',
    'mmdet': 'onedl-mmdetection',
    'open_clip': 'open-clip-torch',
    'cv2': 'opencv-python-headless',
    'PIL': 'pillow',
    'yaml': 'pyyaml',
}


def names(path):
    """Normalised names of the requirements in a file."""
    lines = (line.split('#')[0].strip() for line in path.read_text().splitlines())
    matches = (re.match(r'[\w.-]+', line) for line in lines)
    return {re.sub(r'[-_.]+', '-', match[0]).lower() for match in matches if match}


def imported_modules(folder):
    for path in folder.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((alias.name.split('.')[0], path) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield node.module.split('.')[0], path


@pytest.mark.parametrize('folder', ['seg', 'ext', 'tools', 'demo'])
def test_every_import_is_a_requirement(repository, folder):
    required = names(repository / 'requirements/runtime.txt')
    for path in (repository / 'requirements/extras').glob('*.txt'):
        required |= names(path)
    own = {'seg', 'ext', *(p.stem for p in (repository / folder).rglob('*.py'))}
    missing = {
        f'{module} in {path.relative_to(repository)}'
        for module, path in imported_modules(repository / folder)
        if module not in sys.stdlib_module_names
        and module not in own
        and DISTRIBUTIONS.get(module, module.replace('_', '-')).lower() not in required
    }
    assert not missing


def test_every_requirement_is_pinned(repository):
    folder = repository / 'requirements'
    wanted = set().union(*(names(p) for p in (folder / 'runtime.txt', folder / 'dev.txt')))
    wanted = wanted.union(*(names(p) for p in (folder / 'extras').glob('*.txt')))
    lines = (folder / 'constraints.txt').read_text().splitlines()
    assert wanted <= names(folder / 'constraints.txt')
    assert all('==' in line for line in lines if line and not line.lstrip().startswith('#'))


def test_only_the_headless_opencv_is_pinned(repository):
    pinned = names(repository / 'requirements/constraints.txt')
    assert {name for name in pinned if name.startswith('opencv')} == {'opencv-python-headless'}


@pytest.mark.parametrize('package', ['seg', 'ext'])
def test_every_folder_with_code_is_a_package(repository, package):
    # A folder without __init__.py works in a checkout and is left out of a wheel.
    folders = {path.parent for path in (repository / package).rglob('*.py')}
    assert not [folder for folder in folders if not (folder / '__init__.py').is_file()]


def test_wheel_carries_configs_weights_and_types(repository, tmp_path):
    pytest.importorskip('setuptools')
    build = [sys.executable, 'setup.py', '--quiet', 'build_py', '--build-lib', str(tmp_path)]
    subprocess.run(build, cwd=repository, check=True, capture_output=True)

    def files(folder):
        paths = (path for path in folder.rglob('*') if path.is_file())
        return {str(p.relative_to(folder)) for p in paths if '__pycache__' not in p.parts}

    for package in ('seg', 'ext'):
        assert files(repository / package) <= files(tmp_path / package)
    assert files(tmp_path / 'seg/configs') == files(repository / 'configs')
    assert (tmp_path / 'seg/py.typed').is_file()

    # A file that another checkout or an editable install has does not count: run from the build.
    code = (
        'from seg.utils.paths import asset, config_dir; '
        'print(config_dir(), asset("rap_sam_nano_shapes.safetensors"))'
    )
    command = [sys.executable, '-c', code]
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    found = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout.split()
    assert found == [
        str(tmp_path / 'seg/configs'),
        str(tmp_path / 'seg/assets/rap_sam_nano_shapes.safetensors'),
    ]


def test_embedded_weights_are_small(repository):
    sizes = {p.name: p.stat().st_size for p in (repository / 'seg/assets').glob('*.safetensors')}
    assert sizes
    assert max(sizes.values()) <= 12e6


def test_importing_the_package_loads_nothing_heavy():
    code = 'import sys, seg; print(*sorted({name.split(".")[0] for name in sys.modules}))'
    command = [sys.executable, '-c', code]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    heavy = {'torch', 'numpy', 'cv2', 'mmengine', 'mmcv', 'mmdet', 'PIL', 'rich', 'matplotlib'}
    assert 'seg' in loaded
    assert not heavy & set(loaded)


def test_the_help_of_every_tool_loads_nothing_heavy(repository):
    # What a tool imports before it reads its arguments; the rest it imports in functions.
    scripts = [*(repository / 'tools').rglob('*.py'), *(repository / 'demo').glob('*.py')]
    tools = [path for path in scripts if "if __name__ == '__main__'" in path.read_text()]
    early = set()
    for tool in tools:
        for node in ast.parse(tool.read_text()).body:
            if isinstance(node, ast.Import):
                early |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                early.add(node.module)
    imports = '; '.join(f'import {name}' for name in sorted(early))
    code = f'import sys; {imports}; print(*{{name.split(".")[0] for name in sys.modules}})'
    command = [sys.executable, '-c', code]
    loaded = subprocess.run(
        command, cwd=repository, check=True, capture_output=True, text=True
    ).stdout.split()
    assert 'argparse' in loaded
    assert not {'torch', 'mmengine', 'mmcv', 'mmdet', 'scipy', 'matplotlib'} & set(loaded)


def test_reading_the_registries_does_not_load_torch():
    code = 'import sys, seg.registry; print("torch" in sys.modules)'
    command = [sys.executable, '-c', code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == 'False'


def test_environment_key_changes_with_the_requirements(repository, tmp_path):
    for name in ('requirements/env.sh', 'requirements/runtime.txt', 'setup.py'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((repository / name).read_bytes())

    def key() -> str:
        command = ['bash', str(tmp_path / 'requirements/env.sh'), 'key']
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    before = key()
    assert re.fullmatch('[0-9a-f]{16}', before)
    assert key() == before
    with Path(tmp_path / 'requirements/runtime.txt').open('a') as file:
        file.write('another\n')
    assert key() != before


def test_unsuitable_python_is_named(repository, tmp_path):
    old = tmp_path / 'oldpython'
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.8.1 || exit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ['bash', str(repository / 'requirements/env.sh'), 'base', str(tmp_path / 'venv')],
        env={'PATH': '/usr/bin:/bin', 'PYTHON': str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert re.search(r'error: needs Python 3.10 to 3.13, found: .*Python 3.8.1', done.stderr)
