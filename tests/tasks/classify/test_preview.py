"""`augment`: what is shown is what training, testing and the saved network are given."""

from pathlib import Path

import numpy as np

from residua.data import transforms
from residua.data.decode import decode
from residua.jobs.prepare import resolve
from residua.jobs.train_request import TrainRequest
from residua.spec.augment import Augment
from residua.tasks.classify.preview import EPOCHS, PreviewedImages, preview_images, preview_page
from small import file_of, photo_folder, recipe


def previewed(request: TrainRequest, count: int) -> PreviewedImages:
    resolved, opened = resolve(request)
    return preview_images(resolved, opened.dataset, count)


def test_training_views_are_those_of_the_recipe_and_the_saved_network_sees_the_test_view(
    tmp_path: Path,
) -> None:
    photos = photo_folder(tmp_path / "photos", side=20)
    recipe_path = file_of(recipe(augment=Augment("resized_crop")), tmp_path / "recipe.json")
    preview = previewed(TrainRequest(str(photos), recipe=str(recipe_path)), 4)
    assert [one.label for one in preview.images] == ["blue", "green", "red", "blue"]
    preprocess, augment = preview.recipe.arch.preprocess, preview.recipe.augment
    for place, one in enumerate(preview.images):
        image = decode(photos / one.title, colour="rgb")
        for epoch, view in enumerate(one.trained):
            expected = transforms.train_view(image, preprocess, augment, preview.recipe.seed, epoch, place)
            assert (view == expected.transpose(1, 2, 0)).all()
        assert (one.evaluated == transforms.eval_view(image, preprocess).transpose(1, 2, 0)).all()
        assert len(one.trained) == EPOCHS
    assert preview.drift == 0
    assert "the same pixels" in preview_page(preview, "photos")


def test_what_happens_to_the_batch_is_shown_too(tmp_path: Path) -> None:
    plain = previewed(TrainRequest("digits"), 5)
    mixed = previewed(TrainRequest("digits", changes=(("augment.cutout", "4"), ("augment.mixup", "0.5"))), 5)
    same = [
        np.array_equal(a, b)
        for one, other in zip(plain.images, mixed.images, strict=True)
        for a, b in zip(one.trained, other.trained, strict=True)
    ]
    assert not any(same)
    assert all((a.evaluated == b.evaluated).all() for a, b in zip(plain.images, mixed.images, strict=True))
