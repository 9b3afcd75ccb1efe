"""Write the list of everything a config can name, with its settings, as Markdown.

It is read from the registries: each registered class with the first line of its documentation,
and each setting with its default and what it means.

Example:
    python tools/docs_tools/settings_reference.py --out outputs/settings.md
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main

if TYPE_CHECKING:
    from mmengine.registry import Registry

REFERENCE_MARKER = '<!-- settings: written by tools/docs_tools/settings_reference.py -->'
_ROLE = re.compile(r':\w+:`~?([^`]+)`')
_SECTION = re.compile(r'^(\w[\w ]*):$', re.M)
_ARGUMENT = re.compile(r'^ {4}(\*{0,2}\w+)(?: \([^)]*\))?: ', re.M)
_VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def registries() -> dict[str, Registry]:
    """The registries of the package by their name in a program, filled."""
    from mmengine.registry import Registry

    import seg.registry

    found = {
        name: value
        for name, value in vars(seg.registry).items()
        if isinstance(value, Registry) and not name.startswith('_')
    }
    for registry in found.values():
        registry.import_from_location()
    return found


def own_entries(registry: Registry) -> dict[str, Any]:
    """What the package itself registered, by name, without helpers of its tests."""
    return {
        name: entry
        for name, entry in sorted(registry.module_dict.items())
        if not entry.__module__.startswith('seg.testing')
    }


def reference_text() -> str:
    """The settings of everything registered, a section per registry."""
    parts = []
    for name, registry in registries().items():
        entries = own_entries(registry)
        if not entries:
            continue
        parts.append(f'## {name}\n')
        folder = None
        for entry_name, entry in sorted(
            entries.items(), key=lambda item: (_folder(item[1]), item[0])
        ):
            if _folder(entry) != folder:
                folder = _folder(entry)
                parts.append(f'`{folder}`\n')
            parts.append(entry_text(entry_name, entry))
    return '\n'.join(parts)


def entry_text(name: str, entry: Any) -> str:
    """One class or function: what it is, and a table of its settings."""
    documentation = inspect.getdoc(entry) or ''
    lines = [f'### {name}\n', plain(documentation.split('\n\n')[0]), '']
    meanings = all_meanings(entry)
    rows = [_setting_row(p, meanings) for p in settings(entry)]
    if rows:
        lines += ['| setting | default | |', '|---|---|---|', *rows, '']
    return '\n'.join(lines)


def settings(entry: Any) -> list[inspect.Parameter]:
    """The settings that a config may give."""
    parameters = inspect.signature(entry).parameters.values()
    return [parameter for parameter in parameters if parameter.kind not in _VARIADIC]


def all_meanings(entry: Any) -> dict[str, str]:
    """What the arguments mean, by the documentation of the class and of those it extends."""
    found: dict[str, str] = {}
    for source in reversed(inspect.getmro(entry) if inspect.isclass(entry) else (entry,)):
        found |= argument_meanings(inspect.cleandoc(source.__doc__ or ''))
    return found


def argument_meanings(documentation: str) -> dict[str, str]:
    """Each argument's line in the section ``Args:`` of a documentation."""
    parts = _SECTION.split(documentation)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = _ARGUMENT.split(sections.get('Args', ''))
    return {
        name.lstrip('*'): plain(text) for name, text in zip(found[1::2], found[2::2], strict=True)
    }


def plain(text: str) -> str:
    """A text of a documentation as one line of Markdown."""
    text = _ROLE.sub(lambda match: f'`{match[1].rpartition(".")[2]}`', ' '.join(text.split()))
    return text.replace('``', '`').replace('|', '\\|').replace('<', '&lt;')


def _setting_row(parameter: inspect.Parameter, meanings: dict[str, str]) -> str:
    if parameter.default is inspect.Parameter.empty:
        default = '*required*'
    else:
        default = f'`{_value_text(parameter.default)}`'
    meaning = meanings.get(parameter.name, '')
    return f'| `{parameter.name}` | {default} | {meaning} |'


def _value_text(value: Any) -> str:
    """A default value as a config would write it."""
    named = inspect.isclass(value) or inspect.isroutine(value)
    text = value.__name__ if named else repr(value)
    return text.replace('|', '\\|').replace('\n', ' ')


def _folder(entry: Any) -> str:
    return entry.__module__.rpartition('.')[0]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, help='file to write; standard output by default')
    args = parser.parse_args()
    text = reference_text()
    if args.out is None:
        print(text)
        return
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    run_main(main)
