"""`augment`: what is shown is what training, testing and the saved network are given."""

from pathlib import Path

import numpy as np

from residua.data import transforms
from residua.data.decode import decode
from residua.jobs.prepare import TrainRequest, resolve
from residua.spec.augment import Augment
from residua.tasks.classify.preview import EPOCHS, Looks, looks, page
from small import file_of, photo_folder, recipe


def seen(request: TrainRequest, count: int) -> Looks:
    resolved, opened = resolve(request)
    return looks(resolved, opened.dataset, count)


def test_training_views_are_those_of_the_recipe_and_the_saved_network_sees_the_test_view(
    tmp_path: Path,
) -> None:
    photos = photo_folder(tmp_path / "photos", side=20)
    made = file_of(recipe(augment=Augment("resized_crop")), tmp_path / "recipe.json")
    found = seen(TrainRequest(str(photos), recipe=str(made)), 4)
    assert [one.label for one in found.seen] == ["blue", "green", "red", "blue"]
    preprocess, augment = found.recipe.arch.preprocess, found.recipe.augment
    for place, one in enumerate(found.seen):
        image = decode(photos / one.title, colour="rgb")
        for epoch, view in enumerate(one.trained):
            wanted = transforms.train_view(image, preprocess, augment, found.recipe.seed, epoch, place)
            assert (view == wanted.transpose(1, 2, 0)).all()
        assert (one.tested == transforms.eval_view(image, preprocess).transpose(1, 2, 0)).all()
        assert len(one.trained) == EPOCHS
    assert found.drift == 0
    assert "Testing and the saved network see the same pixels" in page(found, "photos")


def test_what_happens_to_the_batch_is_shown_too(tmp_path: Path) -> None:
    plain = seen(TrainRequest("digits"), 5)
    mixed = seen(TrainRequest("digits", changes=(("augment.cutout", "4"), ("augment.mixup", "0.5"))), 5)
    same = [
        np.array_equal(a, b)
        for one, other in zip(plain.seen, mixed.seen, strict=True)
        for a, b in zip(one.trained, other.trained, strict=True)
    ]
    assert not any(same)
    assert all((a.tested == b.tested).all() for a, b in zip(plain.seen, mixed.seen, strict=True))
