import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from ext.open_clip import build_text_encoder, build_tokenizer, text_weights
from seg.datasets.label_space import LabelSpace
from seg.models.classifiers.text_prompts import (
    PHOTO_TEMPLATES,
    encode_classes,
    read_text_embedding,
    write_text_embedding,
)
from seg.utils.checks import UserError

TEXT = {'context_length': 77, 'vocab_size': 49408, 'width': 32, 'heads': 2, 'layers': 2}
VISION = {'layers': [1, 1, 1, 1], 'width': 8, 'head_width': 16, 'image_size': 64}
SPACE = LabelSpace.from_names('toy', ['cat, kitty, house cat', 'giant_panda'], ['sky, cat'])


@pytest.fixture
def clip(monkeypatch):
    """A tiny CLIP model of open_clip with random weights."""
    torch.set_num_threads(1)
    config = {'embed_dim': 16, 'vision_cfg': VISION, 'text_cfg': TEXT}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, 'tiny', config)
    torch.manual_seed(0)
    return open_clip.create_model('tiny').eval()


@pytest.fixture
def encoder(clip, tmp_path):
    path = tmp_path / 'clip.safetensors'
    save_file({k: v.contiguous() for k, v in clip.state_dict().items()}, path)
    encoder = build_text_encoder('tiny')
    encoder.tower.load_state_dict(text_weights(path))
    return encoder


def embedding_of(num=2, synonyms=3, width=8):
    return F.normalize(torch.randn(num, synonyms, width), dim=-1)


def test_there_are_fourteen_templates_with_a_place_for_the_class():
    assert len(PHOTO_TEMPLATES) == len(set(PHOTO_TEMPLATES)) == 14
    assert all(template.count('{}') == 1 for template in PHOTO_TEMPLATES)


@pytest.mark.parametrize('batch_size', [5, 256])
def test_embeddings_equal_a_plain_loop_over_open_clip(clip, encoder, batch_size):
    tokenize = open_clip.get_tokenizer('tiny')
    embedding = encode_classes(
        encoder, build_tokenizer('tiny'), SPACE, PHOTO_TEMPLATES, batch_size=batch_size
    )
    assert embedding.shape == (3, 3, 16)
    for info, row in zip(SPACE.classes, embedding, strict=True):
        padded = (*info.synonyms, *[info.synonyms[0]] * (3 - len(info.synonyms)))
        for word, got in zip(padded, row, strict=True):
            total = torch.zeros(16)
            for template in PHOTO_TEMPLATES:
                with torch.no_grad():
                    vector = clip.encode_text(tokenize([template.format(word)]))[0]
                total += vector / vector.norm()
            mean = total / len(PHOTO_TEMPLATES)
            torch.testing.assert_close(got, mean / mean.norm(), atol=1e-5, rtol=1e-5)


def test_different_words_have_different_embeddings(encoder):
    embedding = encode_classes(encoder, build_tokenizer('tiny'), SPACE)
    assert torch.equal(embedding[1, 0], embedding[1, 2])  # padding
    assert torch.equal(embedding[0, 0], embedding[2, 1])  # "cat" in two classes
    assert (embedding[0, 0] - embedding[1, 0]).norm() > 1e-3


def test_a_truncated_context_changes_nothing(clip, encoder):
    tokens = build_tokenizer('tiny')(['a cat', 'a much longer sentence about a house cat'])
    with torch.no_grad():
        torch.testing.assert_close(encoder(tokens), clip.encode_text(tokens), atol=1e-5, rtol=1e-5)


def test_weights_of_a_custom_text_model_are_understood(clip, tmp_path):
    own = {f'text.{k}': v.clone() for k, v in build_text_encoder('tiny').tower.state_dict().items()}
    path = tmp_path / 'custom.safetensors'
    save_file({**own, 'visual.conv1.weight': torch.zeros(1)}, path)
    assert set(text_weights(path)) == {key.removeprefix('text.') for key in own}


def test_a_file_without_a_text_tower_is_refused(tmp_path):
    path = tmp_path / 'image.safetensors'
    save_file({'visual.conv1.weight': torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r'text tower, got visual\.conv1\.weight'):
        text_weights(path)


@pytest.mark.parametrize('name', ['ViT-B-16-SigLIP', 'coca_ViT-B-32', 'roberta-ViT-B-32'])
def test_foreign_text_towers_are_refused(name):
    with pytest.raises(UserError, match='own causal text tower'):
        build_text_encoder(name)


@pytest.mark.parametrize('template', ['a cat', '{} and {}', 'a {name}', 'a {} {x}'])
def test_malformed_templates_are_errors(template):
    with pytest.raises(UserError, match='exactly one'):
        encode_classes(lambda tokens: tokens, lambda texts: texts, SPACE, [template])
    with pytest.raises(UserError, match='at least one sentence'):
        encode_classes(lambda tokens: tokens, lambda texts: texts, SPACE, [])


def test_a_written_embedding_is_read_back_with_its_names(tmp_path):
    path, embedding = tmp_path / 'toy.safetensors', embedding_of(num=3)
    write_text_embedding(path, embedding, SPACE, {'model': 'tiny'})
    read, names = read_text_embedding(path)
    assert torch.equal(read, embedding)
    assert names == SPACE.class_names == ('cat', 'giant_panda', 'sky')


def test_only_unit_vectors_are_written(tmp_path):
    path = tmp_path / 'toy.safetensors'
    with pytest.raises(UserError, match='rows of length 1'):
        write_text_embedding(path, 2 * embedding_of(), SPACE, {})
    with pytest.raises(UserError, match=r'ends in \.safetensors'):
        write_text_embedding(tmp_path / 'toy.pth', embedding_of(), SPACE, {})
    assert not path.exists()


@pytest.mark.parametrize(
    ('embedding', 'message'),
    [
        (embedding_of() * 1.01, r'lengths from 1\.01 to 1\.01'),
        (embedding_of().index_fill(0, torch.tensor([0]), float('nan')), 'NaN or infinity'),
        (embedding_of()[0], r'\(classes, synonyms, width\), got \(3, 8\)'),
    ],
)
def test_bad_embeddings_are_refused(tmp_path, embedding, message):
    path = tmp_path / 'bad.safetensors'
    save_file({'embedding': embedding.contiguous()}, path)
    with pytest.raises(UserError, match=message):
        read_text_embedding(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'absent\.safetensors.*gen_cls'):
        read_text_embedding(tmp_path / 'absent.safetensors')
    bare = tmp_path / 'bare.pth'
    torch.save(embedding_of(), bare)
    with pytest.raises(UserError, match='convert a file that holds the tensor alone'):
        read_text_embedding(bare)
    other = tmp_path / 'other.safetensors'
    save_file({'weight': torch.zeros(1)}, other)
    with pytest.raises(UserError, match="expected the tensor 'embedding', got"):
        read_text_embedding(other)


def test_names_must_match_the_rows(tmp_path):
    path = tmp_path / 'toy.safetensors'
    save_file({'embedding': embedding_of(num=2)}, path, {'names': '["cat"]'})
    with pytest.raises(UserError, match='1 names for 2 classes'):
        read_text_embedding(path)
