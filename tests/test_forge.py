"""The wall of forgeries: cut from files, labelled, measured. The forgers are random: only the plumbing is asked."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import torch

from app import forge, forge_command
from app import photo as photos
from app.photo import Photo
from app.scoring import JobError, Person
from engines import manipulate


def wall(runtime, person, protected, edit, forgers) -> tuple[list[forge.Tile], forge.Wall]:
    *tiles, last = forge.build(runtime, person, protected, edit, forgers)
    return tiles, last


def test_the_same_file_is_not_defended_and_every_forgery_is_labelled(runtime, astronaut, forgers):
    file = photos.load(photos.encode(astronaut.photo.pixels, "PNG", 95, {}))
    tiles, found = wall(runtime, astronaut, file, "black hair", forgers)
    assert list(found.tiles) == tiles and [tile.forger for tile in tiles] == list(forgers)
    for tile in tiles:
        assert tile.l2_face == 0 and tile.similarity == pytest.approx(1, abs=1e-5) and not tile.defended
        assert tile.verdict == "not defended" and np.array_equal(tile.clean, tile.protected)
        assert tile.clean.shape == (256, 256, 3) and (tile.clean[-1] == 0).all() and (tile.clean[-12] > 200).any()
    assert found.original.shape == (128, 128, 3) and found.verdict.startswith("None of 2 forgers fails")
    assert [one["state"] for one in found.provenance["networks"]] == ["trained"] * 5


def test_a_changed_face_is_measured(runtime, astronaut, forgers):
    """In place of a protection: noise of 25 levels on the face."""
    pixels = astronaut.photo.pixels.clone()
    x0, y0, x1, y1 = (round(v) for v in astronaut.face.box)
    noise = torch.randint(0, 2, (1, 3, y1 - y0, x1 - x0), generator=torch.Generator().manual_seed(0)) * 2 - 1
    pixels[..., y0:y1, x0:x1] = (pixels[..., y0:y1, x0:x1].int() + 25 * noise).clamp(0, 255).byte()
    tiles, found = wall(runtime, astronaut, Photo(pixels, "PNG", (), None), "black hair", forgers)
    assert all(tile.l2_face > 0 and tile.similarity < 0.999 for tile in tiles)
    assert set(tiles[0].as_dict()) == {
        "forger", "title", "edit", "l2_face", "similarity", "defended", "kept",
    }  # fmt: skip


def test_a_forger_without_the_edit_makes_its_first(runtime, astronaut, forgers):
    tiles, _ = wall(runtime, astronaut, astronaut.photo, "glasses", forgers)
    assert [tile.edit for tile in tiles] == ["black hair", "glasses"]


def test_bad_input_is_a_sentence(runtime, astronaut, hopper, forgers):
    with pytest.raises(JobError, match="No forger makes the edit 'moustache': choose age, bangs"):
        next(forge.build(runtime, astronaut, astronaut.photo, "moustache", forgers))
    with pytest.raises(JobError, match="another size than the original"):
        next(forge.build(runtime, astronaut, hopper.photo, "age", forgers))
    blank = Photo(torch.full_like(astronaut.photo.pixels, 127), "PNG", (), None)
    with pytest.raises(JobError, match="No face was found in the protected photo"):
        next(forge.build(runtime, Person("a", astronaut.photo, astronaut.face), blank, "age", forgers))


def test_without_a_forger_it_is_said_how_to_get_one(runtime, astronaut, monkeypatch):
    monkeypatch.setattr(manipulate, "available", lambda: ())
    with pytest.raises(JobError, match="no trained forger here: train one"):
        next(forge.build(runtime, astronaut, astronaut.photo, "age"))


def test_a_wall_can_be_cancelled(runtime, astronaut, forgers):
    asked = iter([False, True])
    found = list(forge.build(runtime, astronaut, astronaut.photo, "age", forgers, lambda: next(asked)))
    assert len(found) == 1 and isinstance(found[0], forge.Tile)


def test_the_command_writes_one_labelled_picture(runtime, astronaut, astronaut_file, forgers, tmp_path, capsys):
    out, one = tmp_path / "wall.png", argparse.ArgumentParser()
    forge_command.add_parser(one.add_subparsers())
    asked = ["forge", str(astronaut_file), str(astronaut_file), "--out", str(out), "--edit", "age"]
    args = one.parse_args([*asked, "--forger", "stargan", "--forger", "hisd"])
    found = args.func(args)
    assert [row["verdict"] for row in found["rows"]] == ["not defended"] * 2 and "agreed" in found["notes"][2]
    wall = photos.load(out.read_bytes())
    assert wall.pixels.shape == (1, 3, 512, 768) and [one["forger"] for one in wall.settings["forged"]] == list(
        forgers
    )
    for bad, words in (
        (tmp_path / "wall.jpg", "must end in .png"),
        (tmp_path / "no" / "wall.png", "There is no folder"),
    ):
        args.out = bad
        with pytest.raises(ValueError, match=words):
            args.func(args)
