"""What the documentation site needs beyond MkDocs.

Pages are written so that their links work on the repository's own pages, where they may lead out
of ``docs/``. Here such a target becomes part of the site, below ``repository/``, and links follow.
The lists of settings are put where a page asks for them.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from settings_reference import REFERENCE_MARKER, reference_text

ROOT = Path(__file__).resolve().parents[2]
_COPIES = 'repository/'
_FENCES = re.compile(r'(^ *```.*?^ *```[^\n]*$|`[^`\n]+`)', re.M | re.S)
_LINK = re.compile(r'(\]\()([^)\s#<>]+)((?:#[^)\s]*)?\))')
_LOADED = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*\bsrc=["\']?(?:https?:)?//'
    r'|<link\b(?=[^>]*\brel=["\']?(?:stylesheet|preconnect|preload|icon))[^>]*'
    r'\bhref=["\']?(?:https?:)?//'
)


def on_files(files: Files, config: Any) -> Files:
    """Add the files beside ``docs/`` that the navigation and pages lead to."""
    for name in re.findall(rf'{_COPIES}[\w./-]+', str(config.nav)):
        files.append(_copy(config, name))
    waiting = [file for file in files.documentation_pages() if file.src_uri.endswith('.md')]
    while waiting:
        page = waiting.pop()
        for target in _targets(page.content_string, _repository_path(page.src_uri)):
            name = _site_path(target)
            if not name.startswith(_COPIES) or name in files.src_uris:
                continue
            added = _copy(config, name)
            files.append(added)
            if name.endswith('.md'):
                waiting.append(added)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links of the repository into links of the site, and write out the settings."""
    if REFERENCE_MARKER in markdown:
        markdown = markdown.replace(REFERENCE_MARKER, reference_text())
    own = page.file.src_uri
    folder = posixpath.dirname(own) or '.'

    def to_site(link: str) -> str:
        target = _resolve(link, _repository_path(own))
        return link if target is None else posixpath.relpath(_site_path(target), folder)

    return _map_links(markdown, to_site)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Refuse a page that loads something from elsewhere."""
    found = _LOADED.search(output)
    if found:
        raise PluginError(f'{page.file.src_uri}: loads from elsewhere: {found.group()}')
    return output


def _copy(config: Any, name: str) -> File:
    """A file of the repository as one of the site."""
    return File.generated(config, name, abs_src_path=str(ROOT / _repository_path(name)))


def _map_links(markdown: str, change: Callable[[str], str]) -> str:
    """Change the targets of links outside code."""
    parts = _FENCES.split(markdown)
    for index in range(0, len(parts), 2):
        parts[index] = _LINK.sub(lambda m: m[1] + change(m[2]) + m[3], parts[index])
    return ''.join(parts)


def _targets(markdown: str, page: str) -> list[str]:
    """Files of the repository that a page leads to."""
    found: list[str] = []

    def note(link: str) -> str:
        target = _resolve(link, page)
        if target is not None:
            found.append(target)
        return link

    _map_links(markdown, note)
    return found


def _resolve(link: str, page: str) -> str | None:
    """The file of the repository behind a link; ``None`` if there is none."""
    if re.match(r'[a-z]+:|/', link):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    return target if (ROOT / target).is_file() else None


def _repository_path(src_uri: str) -> str:
    """Where a file of the site lies in the repository."""
    if src_uri.startswith(_COPIES):
        return src_uri.removeprefix(_COPIES)
    return f'docs/{src_uri}'


def _site_path(target: str) -> str:
    """Where a file of the repository lies in the site."""
    return target.removeprefix('docs/') if target.startswith('docs/') else _COPIES + target
