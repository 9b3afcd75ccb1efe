"""The list of settings leaves out no class and no setting."""

import ast
import importlib.util

import pytest


@pytest.fixture(scope='module')
def reference(repository):
    path = repository / 'tools' / 'docs_tools' / 'settings_reference.py'
    spec = importlib.util.spec_from_file_location('settings_reference', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def text(reference):
    return reference.reference_text()


def registered_in_source(repository):
    """Names of the classes that a decorator registers, read from the files."""
    for path in [*(repository / 'seg').rglob('*.py'), *(repository / 'ext').rglob('*.py')]:
        if 'testing' in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                for decorator in node.decorator_list:
                    if 'register_module' in ast.unparse(decorator):
                        yield node.name


def test_every_registered_class_has_its_section(repository, text):
    names = set(registered_in_source(repository))
    assert len(names) > 100
    headings = {line[4:] for line in text.splitlines() if line.startswith('### ')}
    assert names <= headings


def test_every_setting_has_its_row(reference, text):
    parts = dict(part.split('\n', 1) for part in text.split('\n### ')[1:])
    for registry in reference.registries().values():
        for name, entry in reference.own_entries(registry).items():
            for parameter in reference.settings(entry):
                assert f'| `{parameter.name}` |' in parts[name], (name, parameter.name)


def test_nothing_of_a_documentation_is_lost(reference):
    class Part:
        """A part.

        More.

        Args:
            width: First line
                and second of ``x``.
            deep: A :class:`~a.b.Thing` | other.

        Raises:
            ValueError: Never.
        """

        def __init__(self, width: int, deep: bool = False) -> None: ...

    assert reference.entry_text('Part', Part) == (
        '### Part\n\nA part.\n\n| setting | default | |\n|---|---|---|\n'
        '| `width` | *required* | First line and second of `x`. |\n'
        '| `deep` | `False` | A `Thing` \\| other. |\n'
    )


def test_nearly_every_setting_is_explained(text):
    rows = [line for line in text.splitlines() if line.startswith('| `')]
    blank = [row for row in rows if row.endswith('|  |')]
    assert len(blank) < 0.1 * len(rows), blank
