"""Pages lead to files that exist, and name calls that exist."""

import builtins
import importlib
import inspect
import pkgutil
import re
import runpy

import pytest

import seg

_CODE = re.compile(r'^ *```.*?^ *```[^\n]*$|`[^`\n]+`', re.M | re.S)
_LINK = re.compile(r'\]\(([^)\s#<>]+)(?:#[^)\s]*)?\)')


def pages(repository):
    yield from repository.glob('*.md')
    yield from (repository / 'docs').rglob('*.md')
    yield from (repository / 'configs').rglob('*.md')


def test_every_link_leads_to_a_file(repository):
    lost = []
    for page in pages(repository):
        for link in _LINK.findall(_CODE.sub('', page.read_text(encoding='utf-8'))):
            if not re.match(r'[a-z]+:', link) and not (page.parent / link).exists():
                lost.append(f'{page.name}: {link}')
    assert not lost


def test_every_command_names_a_tool_that_exists(repository):
    lost = []
    for page in pages(repository):
        for tool in re.findall(r'(?:tools|demo)/[\w/]+\.(?:py|sh)\b', page.read_text('utf-8')):
            if not (repository / tool).is_file():
                lost.append(f'{page.name}: {tool}')
    assert not lost


def test_every_config_that_is_named_exists(repository):
    lost = []
    named = re.compile(r'(?<![\w/])configs/[\w/]+\.(?:py|json)\b')
    for page in pages(repository):
        for config in named.findall(page.read_text('utf-8')):
            is_placeholder = config.endswith('/my_config.py') or re.search('[A-Z]', config)
            if not is_placeholder and not (repository / config).is_file():
                lost.append(f'{page.name}: {config}')
    assert not lost


def test_both_readmes_say_the_same_commands(repository):
    english, chinese = (
        (repository / name).read_text('utf-8') for name in ('README.md', 'README.zh-CN.md')
    )
    assert '(README.zh-CN.md)' in english and '(README.md)' in chinese

    def commands(text):
        blocks = '\n'.join(re.findall(r'^```\w+\n(.*?)^```$', text, re.M | re.S))
        return [line.split('  #')[0].rstrip() for line in blocks.splitlines()]

    assert commands(english) == commands(chinese)
    assert re.findall(r'`make [\w-]+` \|', english) == re.findall(r'`make [\w-]+` \|', chinese)


def test_the_picture_of_the_architecture_is_up_to_date(repository):
    script = runpy.run_path(str(repository / 'tools/docs_tools/architecture_picture.py'))
    kept = (repository / 'docs/pictures/architecture.svg').read_text('utf-8')
    assert script['picture']() == kept


def known_names():
    """Every public name of the package, of its classes' members, and of their settings."""
    known = set(dir(builtins))
    for info in pkgutil.walk_packages(seg.__path__, 'seg.'):
        if info.name.startswith(('seg.configs', 'seg.testing')):
            continue
        known |= set(info.name.split('.'))
        for name, value in vars(importlib.import_module(info.name)).items():
            known.add(name)
            if not getattr(value, '__module__', '').startswith('seg.'):
                continue
            members = list(vars(value).values()) if inspect.isclass(value) else [value]
            for member in members:
                if inspect.isfunction(member):
                    known |= {member.__name__, *inspect.signature(member).parameters}
            known |= set(getattr(value, '__dataclass_fields__', ()))
    return known


@pytest.mark.slow
def test_what_the_migration_page_says_is_called_so(repository):
    """Names and settings in the right columns; those of the left are other packages'."""
    rows = [
        line.split(' | ')[-1]
        for line in (repository / 'docs/migration.md').read_text('utf-8').splitlines()
        if line.startswith(('| `', '| a '))
    ]
    code = [part for row in rows for part in re.findall(r'`([^`]+)`', row)]
    commands = ('python', 'bash', 'make', 'tools/', 'demo/', 'configs/', './')
    code = [part for part in code if not part.startswith(commands)]
    said = {word for part in code for word in re.findall(r'\b([A-Za-z_]\w+)(?=[(=]|$)', part)}
    said -= {'read_base', 'LoggerHook', 'result', 'session', 'video', 'prompts', 'model', 'image'}
    said -= {'head', 'neck', 'ResNet', 'import', 'N', 'dice', 'py'}
    lost = sorted(said - known_names())
    assert not lost
