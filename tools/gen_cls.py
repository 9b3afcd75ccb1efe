"""Make the text classifier of a label space with the text tower of a CLIP model.

Example:
    python tools/gen_cls.py --label-space coco_panoptic+youtube_vis_2019 \
        --pretrained laion2b_s29b_b131k_ft_soup --out coco_youtube_vis.safetensors
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from seg.utils.cli import run_main

if TYPE_CHECKING:
    from seg.datasets.label_space import LabelSpace


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Embed class names as text: (classes, synonyms, width), rows of length 1.'
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        '--label-space',
        help='name of a label space, such as coco_panoptic, or several joined with +',
    )
    source.add_argument(
        '--classes',
        help='text file: one class per line, commas between synonyms, stuff after a line [stuff]',
    )
    parser.add_argument('--model', default='convnext_large_d_320', help='model of open_clip')
    parser.add_argument(
        '--pretrained',
        required=True,
        help='weights of the model: a file, or a tag of open_clip (needs its cache or a network)',
    )
    parser.add_argument('--out', required=True, help='where to write, ends in .safetensors')
    parser.add_argument(
        '--templates', help='text file: one sentence per line, {} for the class (default: 14 own)'
    )
    parser.add_argument('--device', help='such as cuda or cpu (default: cuda where there is one)')
    parser.add_argument('--batch-size', type=int, default=256, help='sentences per step')
    return parser.parse_args()


def main() -> int:
    """Make the classifier and print what was made as the last line of standard output."""
    args = parse_args()
    from ext.open_clip import build_text_encoder, build_tokenizer, locate_weights, text_weights
    from seg.models.classifiers.text_prompts import (
        PHOTO_TEMPLATES,
        check_templates,
        encode_classes,
        hash_templates,
        write_text_embedding,
    )
    from seg.utils.checkpoints import load_weights

    if args.batch_size < 1:
        raise ValueError(f'--batch-size: expected at least 1, got {args.batch_size}')
    if not args.out.endswith('.safetensors'):
        raise ValueError(f'--out: expected a name that ends in .safetensors, got {args.out!r}')
    label_space = read_label_space(args.label_space, args.classes)
    templates = read_lines(args.templates) if args.templates else PHOTO_TEMPLATES
    check_templates(templates)
    tokenizer = build_tokenizer(args.model)
    weights = locate_weights(args.model, args.pretrained)
    state = text_weights(weights)
    encoder = build_text_encoder(args.model, args.pretrained)
    load_weights(encoder.tower, state, name=f'the text tower in {weights}')
    encoder.to(choose_device(args.device))
    warn_of_ties(label_space)

    start = time.perf_counter()
    embedding = encode_classes(encoder, tokenizer, label_space, templates, args.batch_size)
    seconds = time.perf_counter() - start
    origin = {
        'model': args.model,
        'pretrained': Path(args.pretrained).name,
        'weights_sha256': hash_file(weights),
        'templates': list(templates),
        'templates_sha256': hash_templates(templates),
    }
    write_text_embedding(args.out, embedding, label_space, origin)
    classes, synonyms, width = embedding.shape
    summary = {
        'out': args.out,
        'label_space': label_space.name,
        'num_things': label_space.num_things,
        'num_stuff': label_space.num_stuff,
        'shape': [classes, synonyms, width],
        'seconds': round(seconds, 2),
    }
    print(json.dumps(summary))
    return 0


def read_label_space(name: str | None, class_file: str | None) -> LabelSpace:
    """Look up the label space by name, or read it from a list of classes."""
    from seg.datasets.label_space import LabelSpace
    from seg.datasets.metainfo import find_label_space

    if class_file is not None:
        return LabelSpace.from_file(class_file)
    assert name is not None, 'argparse requires one of the two'
    return find_label_space(name)


def read_lines(path: str) -> list[str]:
    """The non-empty lines of a text file."""
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f'--templates {path}: expected a text file, found none there')
    return [line.strip() for line in file.read_text(encoding='utf-8').splitlines() if line.strip()]


def choose_device(name: str | None) -> str:
    """The device that was asked for, or the GPU where there is one."""
    import torch

    if name is not None:
        try:
            return str(torch.device(name))
        except RuntimeError:
            raise ValueError(
                f'--device: expected a device such as cpu or cuda, got {name!r}'
            ) from None
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def warn_of_ties(label_space: LabelSpace) -> None:
    """Say which words stand for a thing and for a stuff class: their logits will be equal."""
    words = label_space.ambiguous_synonyms
    if words:
        sys.stderr.write(
            f'warning: {", ".join(words)}: in a thing and in a stuff class, which this classifier '
            'cannot tell apart\n'
        )


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


if __name__ == '__main__':
    run_main(main)
