import subprocess
import sys

import pytest

FAKE = 'LOADED = True\nclass Adafactor: pass\n'


def run(folder, code):
    for name in ('transformers', 'peft'):
        (folder / f'{name}.py').write_text(FAKE)
    setup = f'import sys; sys.path.insert(0, {str(folder)!r})\n'
    command = [sys.executable, '-W', 'ignore', '-c', setup + code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1].split()


def test_hosts_do_not_import_an_installed_transformers(tmp_path):
    code = (
        'import seg.registry, mmengine.optim, mmdet.models\n'
        'early = "transformers" in sys.modules or "peft" in sys.modules\n'
        'import transformers, peft\n'
        'print(early, transformers.LOADED, peft.LOADED)\n'
    )
    assert run(tmp_path, code) == ['False', 'True', 'True']


@pytest.mark.parametrize('installed', [True, False])
def test_only_installing_hides_the_packages(tmp_path, installed):
    builder = tmp_path / 'mmengine/optim/optimizer/builder.py'
    builder.parent.mkdir(parents=True)
    for folder in list(builder.parents)[:3]:
        (folder / '__init__.py').write_text('')
    builder.write_text('try:\n    import transformers\nexcept ImportError:\n    pass\n')
    code = 'from seg.utils.light_imports import install_light_imports\n'
    code += 'install_light_imports()\n' if installed else ''
    code += 'import mmengine.optim.optimizer.builder\nprint("transformers" in sys.modules)'
    assert run(tmp_path, code) == [str(not installed)]


def test_package_that_is_already_imported_stays_visible(tmp_path):
    code = (
        'import transformers, seg.registry\n'
        'from seg.utils.light_imports import heavy_packages_hidden\n'
        'with heavy_packages_hidden():\n'
        '    import transformers as again\n'
        'print(again.LOADED)\n'
    )
    assert run(tmp_path, code) == ['True']


def test_hidden_only_inside_the_context(tmp_path, monkeypatch):
    from seg.utils.light_imports import heavy_packages_hidden

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'peft.py').write_text(FAKE)
    monkeypatch.delitem(sys.modules, 'peft', raising=False)
    with heavy_packages_hidden(), pytest.raises(ModuleNotFoundError):
        import peft
    import peft

    assert peft.LOADED
    monkeypatch.delitem(sys.modules, 'peft')
