"""Publish a model as a folder: weights as safetensors, config as JSON, and a card.

The folder is read by seg.apis.load_model. Nothing is sent anywhere unless --push names a hub.

Example:
    python tools/model_converters/publish.py CONFIG CHECKPOINT published/ --name "Nano of parts" \
        --data "12,000 photographs of parts, annotated by us" --licence CC-BY-4.0 \
        --figures metrics.json --figures-of "500 held-out photographs, tools/test.py CONFIG"
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config, or the name of a model of the package')
    parser.add_argument('checkpoint', nargs='?', help='weights; none for a model of the package')
    parser.add_argument('out', type=Path, help='folder to write')
    parser.add_argument('--name', required=True, help='of the model')
    parser.add_argument('--data', required=True, help='what it was trained on, in words')
    parser.add_argument('--licence', required=True, help='SPDX identifier, such as Apache-2.0')
    parser.add_argument('--figures', type=Path, help='JSON of tools/test.py --out')
    parser.add_argument('--figures-of', default='', help='what the figures were measured on')
    parser.add_argument('--half', action='store_true', help='write half precision')
    parser.add_argument('--push', metavar='hub:OWNER/NAME', help='send it there too')
    return parser.parse_args()


def read_figures(path: Path | None) -> dict[str, Any]:
    """Metrics of a file.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it holds no metrics.
    """
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(f'--figures {path}: expected JSON, got {error}') from error
    if not isinstance(content, dict) or not content:
        raise UserError(f'--figures {path}: expected names of metrics with values, got none')
    return content


def main() -> None:
    """Write the folder, read it back, and send it if that was asked for."""
    args = parse_arguments()
    figures = read_figures(args.figures)
    from seg.apis import load_model
    from seg.apis.model_card import CardFacts
    from seg.apis.model_folder import publish_model
    from seg.apis.model_hub import upload_model_folder

    facts = CardFacts(args.name, args.data, args.licence, figures, args.figures_of)
    model = load_model(args.config, args.checkpoint, 'cpu')
    publish_model(model, args.out, facts, args.half)
    load_model(args.out, device='cpu')
    if args.push is not None:
        upload_model_folder(args.out, args.push)
    files = sorted(path for path in args.out.iterdir() if path.is_file())
    print(json.dumps({path.name: path.stat().st_size for path in files}))


if __name__ == '__main__':
    run_main(main)
