"""Data sets as shards: tar files of pictures, in a directory or in object storage, read whole or as a stream."""

from eyebright.data.shards.reading import read_shards
from eyebright.data.shards.stream import ShardBatch, ShardStream
from eyebright.data.shards.writing import ShardSize, write_shards

__all__ = ["ShardBatch", "ShardSize", "ShardStream", "read_shards", "write_shards"]
