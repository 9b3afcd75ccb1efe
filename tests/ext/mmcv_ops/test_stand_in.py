import importlib
import importlib.util
import subprocess
import sys

import pytest

from ext.mmcv_ops import finder, install, is_stand_in_used
from ext.mmcv_ops.stand_in import CARRIED_OPS
from seg.utils.cli import run_main

install()


def compiled() -> bool:
    return importlib.util.find_spec('mmcv._ext') is not None and not is_stand_in_used()


needs_stand_in = pytest.mark.skipif(compiled(), reason='mmcv has compiled operators')


@needs_stand_in
def test_operator_that_is_not_carried_raises_when_called_not_when_looked_up():
    op = importlib.import_module('mmcv._ext').knn_forward
    with pytest.raises(NotImplementedError, match=r"'knn_forward'.*pip install.*onedl-mmcv"):
        op(1, k=2)


@needs_stand_in
def test_tools_tell_of_an_operator_that_is_not_carried_in_one_line(capsys):
    op = importlib.import_module('mmcv._ext').knn_forward
    with pytest.raises(SystemExit, match='2'):
        run_main(lambda: op(1, k=2))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: mmcv operator 'knn_forward' is not available")


@needs_stand_in
def test_private_names_are_absent():
    with pytest.raises(AttributeError, match='_secret'):
        importlib.import_module('mmcv._ext')._secret  # noqa: B018


@needs_stand_in
def test_carried_operators_are_in_the_module():
    module = importlib.import_module('mmcv._ext')
    assert {'nms', 'roi_align_forward', 'modulated_deform_conv_forward'} <= set(CARRIED_OPS)
    assert all(getattr(module, name) is op for name, op in CARRIED_OPS.items())


def test_install_twice_adds_one_finder():
    install()
    install()
    assert sum(isinstance(f, finder.StandInFinder) for f in sys.meta_path) == 1


@needs_stand_in
def test_mmengine_sees_operators_and_reports_no_compiler():
    from mmcv.ops import get_compiler_version
    from mmengine.utils.dl_utils import mmcv_full_available

    assert mmcv_full_available()
    assert 'none' in get_compiler_version()


def run_with_fake_mmcv(folder, ext_file, code):
    (folder / 'mmcv').mkdir()
    (folder / 'mmcv/__init__.py').write_text('')
    if ext_file:
        (folder / 'mmcv/_ext.py').write_text('nms = "compiled"\n')
    setup = f'import sys; sys.path.insert(0, {str(folder)!r}); '
    setup += 'from ext.mmcv_ops import install, is_stand_in_used; install(); '
    command = [sys.executable, '-c', setup + code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_compiled_module_is_left_alone(tmp_path):
    code = 'import mmcv._ext; print(mmcv._ext.nms, is_stand_in_used())'
    assert run_with_fake_mmcv(tmp_path, True, code) == 'compiled False'


def test_finding_the_spec_imports_neither_torch_nor_the_operators(tmp_path):
    code = (
        'from importlib.util import find_spec; spec = find_spec("mmcv._ext"); '
        'print(spec.name, "mmcv._ext" in sys.modules, "torch" in sys.modules)'
    )
    assert run_with_fake_mmcv(tmp_path, False, code) == 'mmcv._ext False False'
