"""A folder of clean pictures of CIFAR-10 in which forty faults of every kind are planted, and where they are.

python tests/data/audit/planted.py path/to/cifar-10-batches-bin FOLDER
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from eyebright import load_dataset

TRAIN, TEST = 40, 10  # clean pictures of each class
WITH_FEW, WITH_BMP, WITH_BORDER = "frog", "ship", "truck"  # classes that are faults as a whole


class Fault(NamedTuple):
    """A planted fault: its kind, and the paths that a finding must name (for a class, its name in the message)."""

    kind: str
    paths: frozenset[str]
    class_name: str = ""


class Planter:
    """Writes pictures into a folder and remembers the faults.

    Args:
        folder: where to.
        images: uint8 [N, 32, 32, 3], of CIFAR-10.
        labels: int32 [N].
        class_names: of them.
    """

    def __init__(
        self, folder: Path, images: NDArray[np.uint8], labels: NDArray[np.int32], class_names: tuple[str, ...]
    ) -> None:
        self.folder, self.images, self.class_names = folder, images, class_names
        self.of_class: dict[str, Iterator[int]] = {
            name: iter(np.flatnonzero(labels == label).tolist()) for label, name in enumerate(class_names)
        }
        self.clean: dict[tuple[str, str], list[str]] = {}
        self.faults: list[Fault] = []

    def fresh(self, class_name: str) -> Image.Image:
        """A picture of a class that was not used yet."""
        return Image.fromarray(self.images[next(self.of_class[class_name])])

    def save(self, path: str, content: Image.Image | bytes, kind: str | None = None, **options: object) -> str:
        """Write a picture, or the bytes of a file; returns its path."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            content.save(file, kind, **options)
        return path

    def open(self, path: str) -> Image.Image:
        """A picture that was written."""
        with Image.open(self.folder / path) as image:
            return image.copy()

    def plant(self, kind: str, *paths: str, class_name: str = "") -> None:
        """Remember a fault."""
        self.faults.append(Fault(kind, frozenset(paths), class_name))


def plant_faults(cifar10: Path, folder: Path) -> list[Fault]:
    """Write the folder.

    Args:
        cifar10: its directory.
        folder: is made.
    """
    dataset = load_dataset(cifar10)
    planter = Planter(folder, dataset.images, dataset.labels, dataset.class_names)
    _clean(planter)
    _damaged(planter)
    _twins(planter)
    _odd(planter)
    return planter.faults


def _clean(planter: Planter) -> None:
    for name in planter.class_names:
        few = name == WITH_FEW
        for split, count in (("train", 6 if few else TRAIN), ("test", TEST)):
            suffix = "bmp" if name == WITH_BMP else "png"
            for number in range(count):
                image = planter.fresh(name)
                if name == WITH_BORDER:
                    image = ImageOps.expand(image.crop((2, 2, 30, 30)), 2, (200, 20, 20))
                planter.clean.setdefault((split, name), []).append(
                    planter.save(f"{split}/{name}/{number}.{suffix}", image)
                )
    (planter.folder / "train" / "zebra").mkdir()
    planter.plant("small-class", class_name=WITH_FEW)
    planter.plant("imbalance", class_name=WITH_FEW)
    planter.plant("empty-class", class_name="zebra")
    planter.plant("shortcut", class_name=WITH_BMP)
    planter.plant("shortcut", class_name=WITH_BORDER)


def _damaged(planter: Planter) -> None:
    png, jpeg, bmp = io.BytesIO(), io.BytesIO(), io.BytesIO()
    image = planter.fresh("cat")
    for buffer, kind in ((png, "PNG"), (jpeg, "JPEG"), (bmp, "BMP")):
        image.save(buffer, kind)
    random = np.random.default_rng(0).bytes(900)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    for name, content in (("words.jpg", b"no picture"), ("none.png", b""), ("noise.webp", random), ("a.heic", heic)):
        planter.plant("unreadable", planter.save(f"train/cat/{name}", content))
    for name, buffer in (("cut.png", png), ("cut.jpg", jpeg), ("cut.bmp", bmp)):
        whole = buffer.getvalue()
        planter.plant("truncated", planter.save(f"train/dog/{name}", whole[: len(whole) * 2 // 3]))
    for name, kind in (("real.jpg", "PNG"), ("real.png", "JPEG"), ("real.gif", "WEBP")):
        planter.plant("wrong-extension", planter.save(f"train/deer/{name}", planter.fresh("deer"), kind))


def _twins(planter: Planter) -> None:
    def twin(kind: str, original: str, path: str, image: Image.Image, **options: object) -> None:
        planter.plant(kind, original, planter.save(path, image, **options))

    def first(name: str, number: int, split: str = "train") -> tuple[str, Image.Image]:
        path = planter.clean[split, name][number]
        return path, planter.open(path)

    for number, suffix in enumerate(("png", "bmp", "tiff")):
        twin("exact-duplicate", *_renamed(first("horse", number), f"train/horse/copy-{number}.{suffix}"))
    changes = (
        lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda image: ImageEnhance.Brightness(image).enhance(1.25),
        lambda image: image.crop((1, 1, 31, 31)).resize((32, 32), Image.Resampling.BICUBIC),
    )
    for number, change in enumerate(changes):
        path, image = first("bird", number)
        twin("near-duplicate", path, f"train/bird/near-{number}.png", change(image))
    path, image = first("bird", 3)
    twin("near-duplicate", path, "train/bird/near-3.jpg", image, quality=60)
    for number in range(2):
        twin("conflicting-labels", *_renamed(first("cat", number), f"train/dog/cat-{number}.png"))
    path, image = first("cat", 2)
    twin("conflicting-labels", path, "train/dog/cat-2.jpg", image, quality=70)
    for number in range(2):
        twin("leakage", *_renamed(first("deer", number, "test"), f"train/deer/test-{number}.png"))
    for number in (2, 3):
        path, image = first("deer", number, "test")
        twin("leakage", path, f"train/deer/test-{number}.png", changes[number - 2](image))


def _renamed(original: tuple[str, Image.Image], path: str) -> tuple[str, str, Image.Image]:
    return original[0], path, original[1]


def _odd(planter: Planter) -> None:
    noise = np.random.default_rng(1).integers(0, 20, (32, 32, 3), np.uint8)
    plain = [Image.new("RGB", (32, 32), colour) for colour in ("black", "white", (90, 120, 200))]
    for number, image in enumerate([*plain, Image.fromarray(noise)]):
        planter.plant("constant-image", planter.save(f"train/airplane/plain-{number}.png", image))
    for number, size in enumerate(((128, 32), (24, 96), (160, 20))):
        image = planter.fresh("automobile").resize(size)
        planter.plant("extreme-aspect", planter.save(f"train/automobile/long-{number}.png", image))
    for number, size in enumerate(((6, 6), (300, 280))):
        image = planter.fresh("cat").resize(size)
        planter.plant("odd-size", planter.save(f"train/cat/size-{number}.png", image))
    planter.plant("odd-mode", planter.save("train/dog/cmyk.tiff", planter.fresh("dog").convert("CMYK")))
    planter.plant("odd-mode", planter.save("train/dog/grey.png", planter.fresh("dog").convert("L")))


if __name__ == "__main__":
    for fault in plant_faults(Path(sys.argv[1]), Path(sys.argv[2])):
        print(fault.kind, *sorted(fault.paths), fault.class_name)
