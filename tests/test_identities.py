"""The registry: register, look up, delete, verify only, and each bad input."""

import sqlite3

import pytest

from app.identities import SURE, Identities, number_of
from engines.identity import IdentityError, encode


@pytest.fixture
def registry(tmp_path):
    return Identities(tmp_path / "deep" / "registry.sqlite")


def test_a_name_is_registered_once_and_found_however_it_is_written(registry):
    alice = registry.register("Alice ")
    assert registry.register("ALICE") == alice and registry.look_up("alice") == alice
    assert registry.of_number(alice.number) == alice and registry.of_number(alice.number ^ 1) is None
    bob = registry.register("Bob")
    assert bob.number != alice.number and [one.name for one in registry.all()] == ["Alice", "Bob"]


def test_verify_only_keeps_no_name_in_the_file(registry):
    secret = registry.register("Rumpelstiltskin", keep_name=False)
    assert secret.name is None and "its name is not kept" in secret.called
    assert registry.look_up("rumpelstiltskin").number == secret.number
    data = registry.path.read_bytes().lower()
    assert b"rumpel" not in data and len(data) > 0


def test_two_registries_hash_one_name_differently(tmp_path):
    hashes = []
    for name in ("a", "b"):
        registry = Identities(tmp_path / name)
        registry.register("Alice")
        hashes.append(sqlite3.connect(registry.path).execute("SELECT hash FROM identity").fetchone())
    assert hashes[0] != hashes[1]


def test_delete_forgets(registry):
    alice = registry.register("Alice")
    registry.delete("Alice")
    assert registry.all() == [] and registry.of_number(alice.number) is None
    with pytest.raises(IdentityError, match="“Alice” is not registered here"):
        registry.look_up("Alice")
    with pytest.raises(IdentityError, match="not registered here"):
        registry.delete("Alice")


def test_damaged_bits_agree_with_whoever_is_registered(registry):
    assert registry.nearest(encode(1, "k"), "k") is None
    people = [registry.register(name) for name in ("Alice", "Bob", "Carol")]
    word = list(encode(people[1].number, "k"))
    for place in (0, 9, 20, 33, 41):
        word[place] ^= 1
    near = registry.nearest(tuple(word), "k")
    assert near.identity == people[1] and near.agreeing == 45 and near.chance < SURE
    assert registry.nearest(tuple(word), "another").chance > SURE


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "empty"), ("  ", "empty"), ("a\nb", "empty"), ("x" * 61, "too long"), ("\0", "empty")],
)
def test_bad_names_are_a_sentence(registry, name, words):
    with pytest.raises(IdentityError, match=words):
        registry.register(name)
    assert registry.all() == []


def test_a_file_that_is_no_registry_is_a_sentence(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG not a database" * 100)
    with pytest.raises(IdentityError, match="photo.png cannot be used"):
        Identities(path).register("Alice")
    with pytest.raises(IdentityError, match="cannot be used"):
        Identities(tmp_path).all()


def test_bits_are_a_number_and_too_many_are_too_long():
    assert number_of("000000000000000000101010") == 42 and number_of(" 11111111 ") == 255
    assert number_of("Alice") is None and number_of("101") is None
    with pytest.raises(IdentityError, match="too long: 24 of the 50 bits"):
        number_of("1" * 25)
