"""The catalogue: data sets that have a name, where they come from, and how their bytes are known again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

DIGITS = "digits"  # the entry that comes with scikit-learn: nothing to download

_MNIST_PARTS = tuple(f"{split}-{part}-ubyte" for split in ("train", "t10k") for part in ("images-idx3", "labels-idx1"))
_MNIST_PARTS_GZ = tuple(f"{part}.gz" for part in _MNIST_PARTS)


@dataclass(frozen=True)
class CatalogFile:
    """One file to download.

    Args:
        url: where it is, at its official source.
        sha256: SHA-256 of its bytes, 64 hexadecimal digits.
        size: in bytes.
        members: for an archive, the members that are extracted, and nothing else is: plain relative names that share
            one top directory. Empty for a file that is used as it is.

    Raises:
        ValueError: a member's name could lead out of the directory that it is extracted to.
    """

    url: str
    sha256: str
    size: int
    members: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        tops = set()
        for member in self.members:
            path = PurePosixPath(member)
            if path.is_absolute() or ".." in path.parts or "\\" in member or len(path.parts) < 2:
                raise ValueError(f"{member!r} is no plain name of a member in a directory.")
            tops.add(path.parts[0])
        if len(tops) > 1:
            raise ValueError(f"The members lie in several directories: {', '.join(sorted(tops))}.")

    @property
    def name(self) -> str:
        """Its file name."""
        return PurePosixPath(self.url).name


@dataclass(frozen=True)
class CatalogEntry:
    """A data set of the catalogue.

    Args:
        name: what the user types.
        title: one line on what it shows.
        images: number of images, training and test together.
        image_shape: (height, width, channels).
        class_names: in the order of the labels.
        licence: its licence or terms.
        citation: what to cite.
        files: what to download; empty for what needs no download.
        forms: the forms in which it may lie in its directory. A form is the paths, relative to that directory, that
            must all be there; a single path is what is read, several are read as the directory that holds them.
    """

    name: str
    title: str
    images: int
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    licence: str
    citation: str
    files: tuple[CatalogFile, ...] = ()
    forms: tuple[tuple[str, ...], ...] = ()

    @property
    def download_bytes(self) -> int:
        """Size of its download in bytes; 0 where there is none."""
        return sum(file.size for file in self.files)

    def directory(self, data_dir: Path) -> Path:
        """Where it lies in a data directory."""
        return data_dir / self.name

    def found_in(self, data_dir: Path) -> Path | None:
        """The path to read it from, or None where no form of it is whole in the data directory."""
        directory = self.directory(data_dir)
        for form in self.forms:
            if all(_exists(directory / path) for path in form):
                return directory / form[0] if len(form) == 1 else directory
        return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a directory that may not be searched: nothing that could be read
        return False


def is_here(entry: CatalogEntry, data_dir: Path) -> bool:
    """Whether it can be loaded without a download. Looks at names only, so it is quick."""
    return not entry.files or entry.found_in(data_dir) is not None


_CIFAR_LICENCE = "none stated; its authors ask for the citation"
_CIFAR_CITATION = (
    "A. Krizhevsky. Learning multiple layers of features from tiny images. Technical report, "
    "University of Toronto, 2009."
)
_CIFAR10_MEMBERS = ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_TEN_DIGITS = tuple("0123456789")
# fmt: off
_CIFAR100_CLASSES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
    "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard",
    "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum",
    "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
    "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf",
    "woman", "worm",
)
# fmt: on
_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"

_ENTRIES = (
    CatalogEntry(
        name=DIGITS,
        title="handwritten digits, small; comes with scikit-learn",
        images=1_797,
        image_shape=(8, 8, 1),
        class_names=_TEN_DIGITS,
        licence="CC BY 4.0 (UCI Machine Learning Repository)",
        citation=(
            "E. Alpaydin, C. Kaynak. Optical recognition of handwritten digits. UCI Machine Learning Repository, "
            "1998. doi:10.24432/C50P49"
        ),
    ),
    CatalogEntry(
        name="cifar10",
        title="photographs of animals and vehicles",
        images=60_000,
        image_shape=(32, 32, 3),
        class_names=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        licence=_CIFAR_LICENCE,
        citation=_CIFAR_CITATION,
        files=(
            CatalogFile(
                url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                size=170_498_071,
                members=tuple(f"cifar-10-batches-py/{name}" for name in _CIFAR10_MEMBERS),
            ),
        ),
        forms=(
            ("cifar-10-batches-py",),
            ("cifar-10-batches-bin",),
            ("data_batch_1", "test_batch"),
            ("data_batch_1.bin", "test_batch.bin"),
        ),
    ),
    CatalogEntry(
        name="cifar100",
        title="photographs of animals, plants, vehicles and things",
        images=60_000,
        image_shape=(32, 32, 3),
        class_names=_CIFAR100_CLASSES,
        licence=_CIFAR_LICENCE,
        citation=_CIFAR_CITATION,
        files=(
            CatalogFile(
                url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
                sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
                size=169_001_437,
                members=tuple(f"cifar-100-python/{name}" for name in ("meta", "train", "test")),
            ),
        ),
        forms=(("cifar-100-python",), ("cifar-100-binary",), ("train", "test"), ("train.bin", "test.bin")),
    ),
    CatalogEntry(
        name="mnist",
        title="handwritten digits",
        images=70_000,
        image_shape=(28, 28, 1),
        class_names=_TEN_DIGITS,
        licence="CC BY-SA 3.0",
        citation=(
            "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. Gradient-based learning applied to document recognition. "
            "Proceedings of the IEEE 86(11), 1998, 2278-2324."
        ),
        files=(
            CatalogFile(
                url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
                sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
                size=11_490_434,
            ),
        ),
        forms=(("mnist.npz",), _MNIST_PARTS_GZ, _MNIST_PARTS),
    ),
    CatalogEntry(
        name="fashion-mnist",
        title="pictures of clothes and shoes from a shop",
        images=70_000,
        image_shape=(28, 28, 1),
        class_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        licence="MIT",
        citation=(
            "H. Xiao, K. Rasul, R. Vollgraf. Fashion-MNIST: a novel image dataset for benchmarking machine learning "
            "algorithms. 2017. arXiv:1708.07747"
        ),
        # SHA-256 of the files whose MD5 sums its authors publish (8d4fb7e6…, 25c81989…, bef4ecab…, bb300cfd…). Other
        # values are about (08dc20ab… for the first); they are of other files, it seems an earlier release.
        files=(
            CatalogFile(
                url=_FASHION_URL + _MNIST_PARTS_GZ[0],
                sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                size=26_421_880,
            ),
            CatalogFile(
                url=_FASHION_URL + _MNIST_PARTS_GZ[1],
                sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                size=29_515,
            ),
            CatalogFile(
                url=_FASHION_URL + _MNIST_PARTS_GZ[2],
                sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                size=4_422_102,
            ),
            CatalogFile(
                url=_FASHION_URL + _MNIST_PARTS_GZ[3],
                sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                size=5_148,
            ),
        ),
        forms=(_MNIST_PARTS_GZ, _MNIST_PARTS),
    ),
)

CATALOG: dict[str, CatalogEntry] = {entry.name: entry for entry in _ENTRIES}
