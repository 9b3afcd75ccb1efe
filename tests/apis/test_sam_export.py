import importlib.util

import pytest
import torch

from ext.efficient_sam import EfficientSam, efficient_sam_variant
from ext.sam import SAM_VARIANTS, build_image_encoder, sam_variant
from ext.sam.huggingface import HUGGINGFACE_NAMES, SHARED_POSITIONS, huggingface_config
from seg.apis.sam_export import export_sam
from seg.registry import MODELS
from seg.testing.reference_sam import TOY_SAM, randomize, reference_sam
from seg.testing.toy_efficient_sam import TOY_EFFICIENT_SAM
from seg.utils.checkpoints import read_checkpoint, read_weights
from seg.utils.checks import UserError

needs_peft = pytest.mark.skipif(
    importlib.util.find_spec('peft') is None, reason='peft is not installed'
)
IMAGES = torch.randn(1, 3, 128, 128)


def tuned(strategy=None):
    model = MODELS.build(dict(type='SamSegmentor', variant=TOY_SAM, strategy=strategy))
    randomize(model)
    return model.eval()


@needs_peft
@pytest.mark.parametrize('kind', ['sam', 'sam-wrapped', 'safetensors'])
def test_merged_files_load_into_segment_anything_with_strict_names(tmp_path, kind):
    model = tuned(dict(type='TrainLora', rank=2))
    out = tmp_path / ('sam.safetensors' if kind == 'safetensors' else 'sam.pth')
    export_sam(model, out, kind)
    content = read_checkpoint(out)
    state = content['model_state_dict'] if kind == 'sam-wrapped' else content
    host = reference_sam(sam_variant(TOY_SAM))
    host.load_state_dict(state, strict=True)

    expected = model.encode_images(IMAGES)
    assert torch.allclose(host.image_encoder(IMAGES), expected, atol=1e-5)


def test_half_precision_halves_the_file(tmp_path):
    for half in (False, True):
        export_sam(tuned(), tmp_path / f'{half}.pth', 'sam', half)
    sizes = [(tmp_path / f'{half}.pth').stat().st_size for half in (False, True)]

    assert sizes[1] < 0.6 * sizes[0]
    assert read_weights(tmp_path / 'True.pth')['mask_decoder.iou_token.weight'].dtype == torch.half


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec('transformers') is None, reason='no transformers')
def test_transformers_reads_the_folder_and_computes_the_same(tmp_path):
    from transformers import SamModel

    model = tuned()
    export_sam(model, tmp_path / 'hf', 'hf')
    host, report = SamModel.from_pretrained(tmp_path / 'hf', output_loading_info=True)
    assert not report['missing_keys'] and not report['unexpected_keys']
    points = torch.tensor([[[[40.0, 31.0]]]])
    with torch.no_grad():
        theirs = host.eval()(pixel_values=IMAGES, input_points=points, multimask_output=True)
        assert torch.allclose(
            host.get_image_embeddings(IMAGES), model.encode_images(IMAGES), atol=1e-4
        )
    from seg.structures import Prompts

    (ours,) = model.decode_prompts(
        model.encode_images(IMAGES), [Prompts.create(points=points[0])], 'multi'
    )
    assert torch.allclose(theirs.pred_masks[0], ours.mask_logits, atol=1e-3)


def test_names_of_transformers_are_one_to_one():
    with torch.device('meta'):
        names = list(build_image_encoder(SAM_VARIANTS['vit_b']).state_dict())
    HUGGINGFACE_NAMES.check_bijective(f'image_encoder.{name}' for name in names)
    assert not HUGGINGFACE_NAMES.unmatched(f'image_encoder.{name}' for name in names)
    assert SHARED_POSITIONS.startswith('shared_image_embedding')
    assert huggingface_config(SAM_VARIANTS['vit_l'])['vision_config']['hidden_size'] == 1024


def test_what_cannot_be_exported_is_named(tmp_path):
    with pytest.raises(UserError, match='adapters and class tokens cannot be merged'):
        export_sam(tuned(dict(type='TrainAdapters', hidden=2)), tmp_path / 'a.pth', 'sam')
    with pytest.raises(UserError, match=r'ends in \.safetensors'):
        export_sam(tuned(), tmp_path / 'a.pth', 'safetensors')
    with pytest.raises(UserError, match="unknown format 'onnx'"):
        export_sam(tuned(), tmp_path / 'a.pth', 'onnx')
    with pytest.raises(
        UserError, match='expected a SamSegmentor or an EfficientSamSegmentor, got Linear'
    ):
        export_sam(torch.nn.Linear(1, 1), tmp_path / 'a.pth', 'sam')


def test_efficient_sam_is_written_as_its_program_reads_it(tmp_path):
    config = dict(type='EfficientSamSegmentor', variant=TOY_EFFICIENT_SAM)
    model = MODELS.build(config)
    export_sam(model, tmp_path / 'tuned.pt', 'efficient-sam')
    content = read_checkpoint(tmp_path / 'tuned.pt')
    assert list(content) == ['model']
    program = EfficientSam(efficient_sam_variant(TOY_EFFICIENT_SAM))
    program.load_state_dict(content['model'], strict=True)
    with pytest.raises(UserError, match='expected one of safetensors, efficient-sam for Efficient'):
        export_sam(model, tmp_path / 'sam.pth', 'sam')
    with pytest.raises(UserError, match='sam, sam-wrapped, safetensors, hf for SamSegmentor'):
        export_sam(tuned(), tmp_path / 'sam.pth', 'efficient-sam')
    adapted = MODELS.build(dict(config, strategy=dict(type='TrainAdapters', hidden=4)))
    with pytest.raises(UserError, match='expected the published parts alone'):
        export_sam(adapted, tmp_path / 'tuned.pt', 'efficient-sam')
