"""Turn a published RapSAM checkpoint into one of this package.

Example:
    python tools/model_converters/convert_rapsam.py rapsam_r50_12e.pth rap_sam_r50.safetensors \
        --embedding data/embeddings/convnext_large_d_320_coco_panoptic.safetensors
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main

if TYPE_CHECKING:
    from seg.utils.checkpoints import StateDict

SUFFIXES = ('.safetensors', '.pth')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Turn a published RapSAM checkpoint (ResNet-18, -50) into one of this package.'
    )
    parser.add_argument('source', type=Path, metavar='IN', help='published file')
    parser.add_argument('out', type=Path, metavar='OUT', help='ends in .safetensors or .pth')
    parser.add_argument(
        '--embedding',
        type=Path,
        help='class prototypes of tools/gen_cls.py, which the published file does not hold',
    )
    return parser.parse_args()


def main() -> None:
    """Convert, and print what was converted as the last line of standard output."""
    args = parse_args()
    if args.out.suffix not in SUFFIXES:
        raise ValueError(f'OUT: expected a name that ends in .safetensors or .pth, got {args.out}')
    if args.out.resolve() == args.source.resolve():
        raise ValueError(f'OUT: expected another file than IN, got {args.out} twice')
    from seg.apis.published_weights import convert_published_weights
    from seg.models.classifiers.text_prompts import read_text_embedding
    from seg.utils.checkpoints import read_weights

    prototypes, meta = None, None
    if args.embedding is not None:
        prototypes, names = read_text_embedding(args.embedding)
        meta = class_meta(args.embedding, names)
    converted = convert_published_weights(read_weights(args.source), prototypes, str(args.source))
    write(args.out, converted.weights, meta)
    if prototypes is None:
        sys.stderr.write(
            'note: no --embedding, so class prototypes are missing from OUT and loading it will '
            'ask for them; make them with tools/gen_cls.py\n'
        )
    summary = {
        'out': str(args.out),
        'backbone': converted.backbone,
        'tensors': converted.num_tensors,
        'parameters': converted.num_parameters,
        'num_queries': converted.num_queries,
        'embed_channels': converted.embed_channels,
        'prototypes': None if prototypes is None else list(prototypes.shape),
    }
    print(json.dumps(summary))


def class_meta(embedding: Path, names: tuple[str, ...]) -> dict[str, Any] | None:
    """What a checkpoint says about its classes, if the embedding file names them."""
    from seg.utils.checkpoints import read_metadata
    from seg.visualization.palettes import class_palette

    num_things = read_metadata(embedding).get('num_things')
    if not names or num_things is None:
        return None
    palette = [list(color) for color in class_palette(len(names))]
    return {'classes': list(names), 'num_things': int(num_things), 'palette': palette}


def write(out: Path, weights: StateDict, meta: dict[str, Any] | None) -> None:
    """Write the checkpoint in the format of its suffix."""
    from seg.utils.checkpoints import write_checkpoint, write_safetensors

    if out.suffix == '.safetensors':
        write_safetensors(out, weights, {} if meta is None else {'dataset_meta': meta})
        return
    content: dict[str, Any] = {'state_dict': weights}
    if meta is not None:
        content['meta'] = {'dataset_meta': meta}
    write_checkpoint(out, content)


if __name__ == '__main__':
    run_main(main)
