"""Eyebright's start on a folder of pictures: decoded into the cache the first time, verified and mapped after that."""

from __future__ import annotations

import load_task

from eyebright import load_dataset
from eyebright.picture_options import PictureOptions


def main() -> None:
    arguments = load_task.parser(__doc__).parse_args()
    options = PictureOptions(image_size=arguments.side)
    load_task.report(load_task.timed(lambda: len(load_dataset(arguments.directory, options=options))))


if __name__ == "__main__":
    main()
