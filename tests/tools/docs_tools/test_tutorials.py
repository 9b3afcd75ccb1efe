"""Every block of code in the tutorials runs, in order, on tiny data and in one process."""

import re
import runpy
import shlex
import sys

import pytest

_BLOCK = re.compile(r'^```(python|bash)\n(.*?)^```$', re.M | re.S)
TUTORIALS = [
    'tutorials/panoptic',
    'tutorials/interactive_image',
    'tutorials/vos',
    'tutorials/interactive_video',
    'tutorials/finetune_sam',
    'tutorials/finetune_efficient_sam',
    'tutorials/finetune_sam3',
    'tutorials/extend',
    'getting_started',
    'migration',
    'publishing',
]


@pytest.fixture
def workplace(repository, tmp_path, monkeypatch):
    """A folder that looks like a checkout to commands, and keeps what they write."""
    for name in ('configs', 'demo', 'tools'):
        (tmp_path / name).symlink_to(repository / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def forget_parts():
    """Take what a page registers out of the registries again."""
    from seg.registry import DATASETS, MODELS

    yield
    for registry in (MODELS, DATASETS):
        for name, entry in list(registry.module_dict.items()):
            if entry.__module__ in TUTORIALS:
                registry.module_dict.pop(name)


def run_commands(text, monkeypatch):
    for line in text.replace('\\\n', ' ').splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        assert words[0] == 'python', line
        if words[1] == '-c':
            exec(compile(words[2], 'command', 'exec'), {'__name__': '__main__'})
            continue
        monkeypatch.setattr(sys, 'argv', words[1:])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(words[1], run_name='__main__')
        assert stopped.value.code == 0, line


@pytest.mark.slow
@pytest.mark.parametrize('page', TUTORIALS)
def test_every_block_runs(repository, workplace, forget_parts, monkeypatch, page):
    if page.endswith('sam3'):
        pytest.importorskip('transformers')
    text = (repository / 'docs' / f'{page}.md').read_text(encoding='utf-8')
    names = {'__name__': page}
    blocks = _BLOCK.findall(text)
    assert blocks
    for kind, block in blocks:
        if kind == 'python':
            exec(compile(block, page, 'exec'), names)
        else:
            run_commands(block, monkeypatch)


def test_every_tutorial_is_run(repository):
    found = {f'tutorials/{path.stem}' for path in (repository / 'docs/tutorials').glob('*.md')}
    assert found == {name for name in TUTORIALS if '/' in name}
