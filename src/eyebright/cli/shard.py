"""`eyebright shard`: a data set as tar files that can be streamed, from a directory or from object storage."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from eyebright.cli.flags import with_picture_flags
from eyebright.cli.options import DataDir, JsonAside, picture_options
from eyebright.cli.output import print_json


@contextlib.contextmanager
def _cleaning_up() -> Iterator[None]:
    """Within this, what is half written is removed after SIGTERM, too, as after Ctrl-C."""
    from eyebright.parent import end_in_order

    before = signal.signal(signal.SIGTERM, end_in_order)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@with_picture_flags
def shard(
    data: Annotated[str, typer.Argument(help="The data, as for eyebright train.")],
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="DIR|URL", help="Where to; DIR must not exist, URL have no shards yet."),
    ],
    shard_size: Annotated[
        float | None, typer.Option(metavar="MB", help="About how large a shard is.", show_default="32")
    ] = None,
    shard_images: Annotated[
        int | None,
        typer.Option(metavar="N", help="Instead: at most so many images a shard.", show_default="any number"),
    ] = None,
    resized: Annotated[
        bool,
        typer.Option(
            "--resized",
            help="Write pictures as PNG in the size that they are brought to, without metadata, not their files.",
        ),
    ] = False,
    json: JsonAside = False,
    data_dir: DataDir = None,
    **flags: Any,
) -> None:
    """Write a data set as shards: tar files in WebDataset's form, which are streamed, and an index with their hashes.

    Picture files are kept as they are, arrays of pixels become PNG. eyebright train takes the directory, or its URL, as
    DATA. The same data give the same bytes.
    """
    options = picture_options(flags)

    from eyebright.errors import SettingsError

    if shard_size is not None and shard_images is not None:
        raise SettingsError("--shard-size, --shard-images: give one of the two.")

    from eyebright.data.shards.writing import DEFAULT_MEGABYTES, ShardSize, write_shards

    size = ShardSize((DEFAULT_MEGABYTES if shard_size is None else shard_size) * 1e6, shard_images)
    with _cleaning_up():
        index = write_shards(
            data, output, options=options, size=size, resized=resized, data_dir=data_dir, progress=not json
        )
    shards, length = index.shards, sum(one.bytes for one in index.shards)
    if json:
        print_json(
            {
                "output": output,
                "name": index.name,
                "images": index.images,
                "shards": len(shards),
                "bytes": length,
                "splits": index.splits,
                "data_fingerprint": index.fingerprint,
                "index_sha256": index.sha256,
            }
        )
        return
    splits = ", ".join(f"{name or 'in no split'} {count:,}" for name, count in index.splits.items())
    print(f"{index.images:,} images ({splits}) in {len(shards):,} shards, {length / 1e6:,.1f} MB: {output}")
