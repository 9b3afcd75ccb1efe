"""Annotate images and videos in a browser, with the models of the package or your own."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.freed_memory import keep_freed_memory

if TYPE_CHECKING:
    from seg.apis.annotation import AnnotationModel
    from seg.webui.settings import Settings

TOKEN_VARIABLE = 'RAPSAM_ANNOTATE_TOKEN'


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--model',
        action='append',
        default=[],
        metavar='NAME or NAME=CONFIG,CHECKPOINT',
        help='a model that can be chosen on the page, of the package or your own; may repeat, the '
        'first is the default (default: all of the package)',
    )
    parser.add_argument(
        '--folder',
        action='append',
        default=[],
        type=Path,
        help='a folder whose images and videos can be opened; may repeat (default: none, so that '
        'there are only uploads)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('outputs/annotate'),
        help='where sessions are kept (default: %(default)s)',
    )
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='where to listen; other addresses than this machine need a token, which is made and '
        'printed if none is given (default: %(default)s)',
    )
    parser.add_argument('--port', type=int, default=8765, help='0 for any (default: %(default)s)')
    parser.add_argument(
        '--token',
        help=f'what visitors must know, at least 8 characters; better given as {TOKEN_VARIABLE} in '
        'the environment, which other users of the machine do not see',
    )
    parser.add_argument('--device', help='such as cpu or cuda:0; by default the GPU if any')
    parser.add_argument(
        '--max-upload', type=int, default=256, metavar='MB', help='per file (default: %(default)s)'
    )
    parser.add_argument(
        '--max-frames', type=int, default=3000, help='of an uploaded video (default: %(default)s)'
    )
    parser.add_argument(
        '--max-pixels',
        type=int,
        default=16_000_000,
        help='of a frame of an upload (default: %(default)s)',
    )
    parser.add_argument(
        '--idle',
        type=float,
        default=15,
        metavar='MINUTES',
        help='after how long unused sessions leave the memory (default: %(default)s)',
    )
    return parser.parse_args(argv)


def read_models(
    specs: Sequence[str], device: str | None
) -> dict[str, Callable[[], AnnotationModel]]:
    """What loads each model, by name.

    Raises:
        UserError: If a model is unknown, or a name occurs twice.
    """
    from seg.apis.model_zoo import DEFAULT_MODEL, list_models, model_entry

    models: dict[str, Callable[[], AnnotationModel]] = {}
    others = [name for name in list_models() if name != DEFAULT_MODEL]
    for spec in specs or [DEFAULT_MODEL, *others]:
        name, given, files = spec.partition('=')
        config, comma, checkpoint = files.partition(',')
        if given and not (name and config and comma and checkpoint):
            raise UserError(f'--model {spec}: expected NAME=CONFIG,CHECKPOINT')
        if not given:
            model_entry(name)
        if name in models:
            raise UserError(f'--model {name}: expected every name once, got it twice')
        source = (config, checkpoint) if given else (name, None)
        models[name] = _loader(name, *source, device)
    return models


def _loader(
    name: str, source: str, checkpoint: str | None, device: str | None
) -> Callable[[], AnnotationModel]:
    def load() -> AnnotationModel:
        from seg.apis import load_model
        from seg.apis.annotation import AnnotationModel

        return AnnotationModel(load_model(source, checkpoint, device), name)

    return load


def make_settings(arguments: argparse.Namespace) -> Settings:
    """How the server is started.

    Raises:
        UserError: If a setting is wrong.
    """
    from seg.utils.writable import check_writable_folder
    from seg.webui.settings import Limits, Settings, is_loopback, make_token

    numbers = ('max_upload', 'max_frames', 'max_pixels', 'idle')
    for name in numbers:
        if not 0 < getattr(arguments, name) < math.inf:
            raise UserError(f'--{name.replace("_", "-")}: expected a number above 0')
    check_writable_folder(arguments.work_dir, '--work-dir')
    token = arguments.token or os.environ.get(TOKEN_VARIABLE) or None
    if token is None and not is_loopback(arguments.host):
        token = make_token()
    roots: dict[str, Path] = {}
    for folder in arguments.folder:
        name = folder.resolve().name or 'folder'
        while name in roots:
            name += "'"
        roots[name] = folder
    limits = Limits(
        upload_bytes=arguments.max_upload << 20,
        session_bytes=4 * (arguments.max_upload << 20),
        frames=arguments.max_frames,
        pixels=arguments.max_pixels,
        idle_seconds=60 * arguments.idle,
    )
    models = read_models(arguments.model, arguments.device)
    return Settings(arguments.work_dir, models, roots, arguments.host, token, limits)


def serve(settings: Settings, port: int) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        UserError: If the extra is not installed, or the address cannot be listened at.
    """
    try:
        import uvicorn

        from seg.webui.app import make_app
    except ModuleNotFoundError as error:
        raise UserError(
            f'the page: expected the packages of its extra, got no {error.name}; '
            "pip install 'rapsam[webui]'"
        ) from None
    import socket

    app: Any = make_app(settings)
    family = socket.AF_INET6 if ':' in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, port), family=family)
    except (OSError, OverflowError) as error:
        raise UserError(f'--host {settings.host} --port {port}: cannot listen ({error})') from None
    host = f'[{settings.host}]' if ':' in settings.host else settings.host
    secret = '' if settings.token is None else f'#{settings.token}'
    print(f'open http://{host}:{listener.getsockname()[1]}/{secret}', flush=True)
    if settings.token is not None:
        print(
            'whoever has this address can use the page; the connection is not encrypted', flush=True
        )
    config = uvicorn.Config(app, log_level='warning', server_header=False, proxy_headers=False)
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    """Run the server."""
    arguments = parse_arguments(sys.argv[1:])
    keep_freed_memory()
    serve(make_settings(arguments), arguments.port)


if __name__ == '__main__':
    run_main(main)
