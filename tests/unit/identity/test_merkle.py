"""The tree is that of RFC 6962: published vectors, the definition itself, and every proof of many trees."""

from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mdm.identity.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tiles,
    consistency_proof,
    inclusion_path,
    tree_head,
    verify_consistency,
    verify_inclusion,
)
from tests.unit.identity.small_log import definition, kept, leaf_of, tiles

INPUTS = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
PROOFS = {
    (1, 1): [],
    (1, 8): PATHS[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): PATHS[1, 5][1:],
    (6, 7): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
VECTOR = [leaf_of(bytes.fromhex(text)) for text in INPUTS]
MANY = [leaf_of(n.to_bytes(4, "big")) for n in range(2_000)]
SIZES = st.integers(1, 600)


def hexes(path):
    return [node.hex() for node in path]


@pytest.fixture(scope="module")
def big():
    """66,000 leaves: three kept levels, the highest with one node."""
    leaves = [leaf_of(n.to_bytes(4, "big")) for n in range(66_000)]
    nodes = {}
    for run in Frontier().append(b"".join(leaves)):
        nodes[run.level] = run.hashes

    def read(level, first, count):
        row = nodes[level] if level else b"".join(leaves[first : first + count])
        return row[first * 32 : (first + count) * 32] if level else row

    return leaves, nodes, read


@pytest.mark.parametrize("size", range(1, 9))
def test_published_roots(size):
    assert tree_head(size, tiles(VECTOR[:size])).hex() == ROOTS[size - 1]


def test_the_root_of_an_empty_log():
    assert tree_head(0, tiles([])) == Frontier().root() == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(("leaf", "size"), PATHS)
def test_published_inclusion_paths(leaf, size):
    path = inclusion_path(leaf, size, tiles(VECTOR[:size]))
    assert hexes(path) == PATHS[leaf, size]
    root = bytes.fromhex(ROOTS[size - 1])
    assert verify_inclusion(VECTOR[leaf], leaf=leaf, size=size, path=path, root=root)


@pytest.mark.parametrize(("old", "new"), PROOFS)
def test_published_consistency_proofs(old, new):
    path = consistency_proof(old, new, tiles(VECTOR[:new]))
    assert hexes(path) == PROOFS[old, new]
    old_root, new_root = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1])
    assert verify_consistency(old, new, path=path, old_root=old_root, new_root=new_root)


@given(SIZES)
@example(255)
@example(256)
@example(257)
@example(512)
@example(513)
@settings(max_examples=25, deadline=None)
def test_every_leaf_of_a_tree_is_proved(size):
    leaves = MANY[:size]
    subtree, root = tiles(leaves), definition(leaves)
    assert tree_head(size, subtree) == root
    for leaf in range(size):
        path = inclusion_path(leaf, size, subtree)
        assert verify_inclusion(leaves[leaf], leaf=leaf, size=size, path=path, root=root)
        assert not verify_inclusion(
            leaves[leaf], leaf=(leaf + 1) % (size + 1), size=size, path=path, root=root
        )


@given(SIZES)
@example(256)
@example(513)
@settings(max_examples=15, deadline=None)
def test_every_earlier_tree_is_consistent_with_a_tree(new):
    subtree, root = tiles(MANY[:new]), definition(MANY[:new])
    growing = Frontier()
    for old in range(1, new + 1):
        growing.append(MANY[old - 1])
        path = consistency_proof(old, new, subtree)
        assert verify_consistency(old, new, path=path, old_root=growing.root(), new_root=root)
        if old < new:
            assert not verify_consistency(old + 1, new, path=path, old_root=growing.root(), new_root=root)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_path_that_was_changed_proves_nothing(data):
    size = data.draw(st.integers(2, 600), label="size")
    leaf, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))
    leaves = MANY[:size]
    root, old_root = definition(leaves), definition(leaves[:old])
    included = inclusion_path(leaf, size, tiles(leaves))
    consistent = consistency_proof(old, size, tiles(leaves))
    for path in changed(included, data):
        assert not verify_inclusion(leaves[leaf], leaf=leaf, size=size, path=path, root=root)
    for path in changed(consistent, data):
        assert not verify_consistency(old, size, path=path, old_root=old_root, new_root=root)


def changed(path, data):
    place = data.draw(st.integers(0, len(path) * 32 - 1))
    flipped = bytearray(b"".join(path))
    flipped[place] ^= data.draw(st.integers(1, 255))
    yield [bytes(flipped[i : i + 32]) for i in range(0, len(flipped), 32)]
    yield path[1:]
    yield path[:-1]
    yield [*path, path[-1]]
    yield [path[0], *path]


def test_what_is_no_place_in_a_log_is_refused():
    for leaf, size in ((-1, 1), (1, 1), (0, 0)):
        assert not verify_inclusion(VECTOR[0], leaf=leaf, size=size, path=[], root=VECTOR[0])
    for old, new in ((0, 1), (2, 1), (-1, 1), (0, 0)):
        assert not verify_consistency(old, new, path=[], old_root=VECTOR[0], new_root=VECTOR[0])


@given(st.lists(st.integers(0, 400), max_size=5))
@settings(max_examples=40, deadline=None)
def test_nodes_built_in_steps_are_those_built_at_once(steps):
    leaves = MANY[: sum(steps)]
    whole = Frontier()
    at_once = {(run.level, run.first): run.hashes for run in whole.append(b"".join(leaves))}
    in_steps: dict[int, bytes] = {}
    size = 0
    for step in steps:
        frontier = Frontier.at(size, tiles(leaves[:size]))
        for run in frontier.append(b"".join(leaves[size : size + step])):
            assert run.first * 32 == len(in_steps.get(run.level, b""))
            in_steps[run.level] = in_steps.get(run.level, b"") + run.hashes
        size += step
        assert frontier.size == size
        assert frontier.root() == definition(leaves[:size])
    assert {(level, 0): hashes for level, hashes in in_steps.items()} == at_once
    for level, hashes in in_steps.items():
        assert hashes == kept(leaves)(level, 0, len(leaves) >> level)


def test_a_big_tree_has_all_its_levels(big):
    leaves, nodes, read = big
    assert {level: len(hashes) // 32 for level, hashes in nodes.items()} == {8: 257, 16: 1}
    assert nodes[16] == definition(leaves[:65_536])
    assert tree_head(len(leaves), Tiles(read, len(leaves))) == definition(leaves)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 65_792, 66_000])
def test_a_proof_from_a_big_log_reads_few_hashes(big, size):
    leaves, _, read = big
    asked = []

    def counting(level, first, count):
        asked.append(count)
        assert (first + count) << level <= size
        return read(level, first, count)

    root = definition(leaves[:size])
    for leaf in (0, 255, 256, 40_000, size - 1):
        asked.clear()
        path = inclusion_path(leaf, size, Tiles(counting, size))
        assert verify_inclusion(leaves[leaf], leaf=leaf, size=size, path=path, root=root)
        assert len(asked) <= 5
        assert sum(asked) <= 5 * 256
    for old in (1, 256, 40_000, 65_535):
        asked.clear()
        path = consistency_proof(old, size, Tiles(counting, size))
        old_root = definition(leaves[:old])
        assert verify_consistency(old, size, path=path, old_root=old_root, new_root=root)
        assert len(asked) <= 5


def test_leaves_are_hashed_apart_from_nodes():
    left, right = VECTOR[:2]
    assert definition([left, right]) == sha256(b"\x01" + left + right).digest()
    assert definition([left, right]) != leaf_of(left + right)
