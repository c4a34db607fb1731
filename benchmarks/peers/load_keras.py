"""Keras's `image_dataset_from_directory`, one pass: it decodes in each epoch anew. Bilinear, without antialiasing."""

from __future__ import annotations

import keras
import load_task

BATCH_SIZE = 64


def main() -> None:
    arguments = load_task.parser(__doc__).parse_args()

    def load() -> int:
        dataset = keras.utils.image_dataset_from_directory(
            arguments.directory,
            image_size=(arguments.side, arguments.side),
            batch_size=BATCH_SIZE,
            shuffle=False,
            crop_to_aspect_ratio=True,
            verbose=False,
        )
        return sum(len(labels) for _, labels in dataset)

    load_task.report(load_task.timed(load))


if __name__ == "__main__":
    main()
