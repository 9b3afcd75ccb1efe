import open_clip
import torch

from ext.open_clip import build_text_tower, text_tokens, vocabulary_tokens
from ext.open_clip.vocabulary import MAX_TOKEN_BYTES


def test_tokens_are_those_of_open_clip():
    tokenizer = open_clip.get_tokenizer('ViT-B-32')
    text = 'A photo of the leftmost hourglass'
    row = tokenizer([text])[0]
    assert text_tokens(text) == tuple(row[1 : int(row.argmax())].tolist())


def test_a_vocabulary_is_the_sorted_set_of_its_tokens():
    assert vocabulary_tokens(['red disc', 'red']) == tuple(
        sorted({*text_tokens('disc'), *text_tokens('red')})
    )


def test_no_token_is_longer_than_the_bound():
    tokenizer = open_clip.SimpleTokenizer()
    words = set(tokenizer.encoder) - {'<start_of_text>', '<end_of_text>'}
    assert max(len(word.removesuffix('</w>')) for word in words) == MAX_TOKEN_BYTES


def test_the_tower_reads_both_ways_and_no_padding():
    torch.manual_seed(0)
    tower = build_text_tower(9, 8, num_layers=1, num_heads=2, context_length=6).eval()
    tokens = torch.tensor([[1, 5, 8, 0, 0, 0], [1, 5, 4, 3, 8, 0]])
    torch.testing.assert_close(tower(tokens)[0], tower(tokens[:1, :3])[0])
    swapped = tower(torch.tensor([[1, 5, 8], [1, 8, 5]]))
    assert (swapped[0] - swapped[1]).norm() > 0.05
