import numpy as np
import pytest

from seg.datasets.class_info import parse_synonyms
from seg.datasets.label_space import LabelSpace, join_label_spaces
from seg.utils.checks import UserError

VOID_8, VOID_16 = 255, 65535


@pytest.fixture
def joined():
    first = LabelSpace.from_names('first', ['cat, kitty', 'table_or_desk'], ['sky', 'door'])
    second = LabelSpace.from_names('second', ['Kitty', 'door', 'Desk'], ['water', 'Sky'])
    return join_label_spaces([first, second])


@pytest.mark.parametrize(
    ('text', 'synonyms'),
    [
        ('giant_panda', ('giant panda',)),
        ('Ship_or_boat', ('ship', 'boat')),
        ('a/b, c ,,a', ('a', 'b', 'c')),
        ('  wine   glass ', ('wine glass',)),
        ('floor', ('floor',)),
    ],
)
def test_synonyms_are_normalised(text, synonyms):
    assert parse_synonyms(text) == synonyms


def test_a_name_without_words_is_an_error():
    with pytest.raises(UserError, match='expected a name'):
        parse_synonyms(' , ')


def test_metainfo_lists_things_first():
    info = LabelSpace.from_names('toy', ['cat, kitty', 'dog'], ['sky']).metainfo()
    assert info['classes'] == ('cat', 'dog', 'sky')
    assert info['num_things'] == 2
    assert info['category_ids'] == (0, 1, 2)
    assert len(set(info['palette'])) == 3


def test_classes_merge_by_any_synonym_and_keep_things_and_stuff_apart(joined):
    assert joined.space.class_names == ('cat', 'table_or_desk', 'door', 'sky', 'door', 'water')
    assert joined.space.num_things == 3
    assert [ids.tolist() for ids in joined.joint_ids] == [[0, 1, 3, 4], [0, 2, 1, 5, 3]]


def test_a_merged_class_keeps_the_first_synonyms(joined):
    assert joined.space.classes[0].synonyms == ('cat', 'kitty')


def test_a_word_on_both_sides_is_reported(joined):
    assert joined.space.ambiguous_synonyms == ('door',)


def test_joining_one_list_changes_nothing():
    space = LabelSpace.from_names('toy', ['cat', 'dog'], ['sky'])
    joined = join_label_spaces([space])
    assert joined.space.class_names == space.class_names
    assert joined.joint_ids[0].tolist() == [0, 1, 2]


def test_two_different_classes_of_one_name_get_two_names():
    first = LabelSpace('a', LabelSpace.from_names('a', ['fruit orange']).things)
    renamed = first.things[0].__class__('orange', ('orange fruit',), (0, 0, 0), 0)
    joined = join_label_spaces(
        [LabelSpace('a', (renamed,)), LabelSpace.from_names('b', ['orange'])]
    )
    assert joined.space.class_names == ('orange', 'orange (2)')


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32, np.int64])
def test_map_ids_equals_a_loop(joined, dtype):
    ids = np.random.default_rng(0).integers(0, 5, (7, 9)).astype(dtype)
    table = joined.joint_ids[1]
    expected = [[table[i] for i in row] for row in ids.tolist()]
    assert np.array_equal(joined.map_ids('second', ids), expected)


@pytest.mark.parametrize('source', [0, 1, 'first', 'second'])
def test_void_and_unknown_ids_stay(joined, source):
    ids = np.array([VOID_8, VOID_16, -1])
    assert joined.map_ids(source, ids).tolist() == [VOID_8, VOID_16, -1]


def test_no_ids_are_no_ids(joined):
    assert joined.map_ids(0, np.zeros((0,), dtype=np.int64)).shape == (0,)


@pytest.mark.parametrize('foreign', [4, 254, 256, -2, -65535, 65536, 10**6, -(10**6)])
def test_an_id_of_no_class_is_an_error(joined, foreign):
    with pytest.raises(UserError, match=rf"'first': expected ids 0..3.*got \[{foreign}\]"):
        joined.map_ids('first', np.array([0, foreign]))


def test_float_ids_are_an_error(joined):
    with pytest.raises(TypeError, match='integer array, got float32'):
        joined.map_ids(0, np.zeros(3, dtype=np.float32))


def test_an_unknown_source_is_an_error(joined):
    with pytest.raises(UserError, match=r"'secnd'.*Did you mean 'second'"):
        joined.map_ids('secnd', np.zeros(1, dtype=int))
    with pytest.raises(UserError, match=r'0\.\.1'):
        joined.map_ids(2, np.zeros(1, dtype=int))


def test_more_classes_than_void_allows_are_an_error():
    with pytest.raises(UserError, match='at most 255 joint classes'):
        join_label_spaces([LabelSpace.from_names('big', [f'c{i}' for i in range(256)])])
    assert join_label_spaces([LabelSpace.from_names('fits', [f'c{i}' for i in range(255)])])


def test_nothing_to_join_is_an_error():
    with pytest.raises(UserError, match='at least one'):
        join_label_spaces([])


def test_a_class_list_is_read_from_a_file(tmp_path):
    path = tmp_path / 'toys.txt'
    path.write_text('# my classes\ncat, kitty\n\ndog\n[stuff]\nsky\n')
    space = LabelSpace.from_file(path)
    assert (space.name, space.class_names, space.num_things) == ('toys', ('cat', 'dog', 'sky'), 2)
    assert space.classes[0].synonyms == ('cat', 'kitty')


def test_bad_class_lists_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'absent\.txt'):
        LabelSpace.from_file(tmp_path / 'absent.txt')
    empty = tmp_path / 'empty.txt'
    empty.write_text('# nothing\n')
    with pytest.raises(UserError, match='at least one class'):
        LabelSpace.from_file(empty)
    twice = tmp_path / 'twice.txt'
    twice.write_text('cat\ncat, kitty\n')
    with pytest.raises(UserError, match="'cat' more than once"):
        LabelSpace.from_file(twice)
    picture = tmp_path / 'picture.txt'
    picture.write_bytes(b'\x89PNG\xff\xfe')
    with pytest.raises(UserError, match='UTF-8'):
        LabelSpace.from_file(picture)
