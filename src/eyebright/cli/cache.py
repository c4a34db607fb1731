"""`eyebright cache`: what decoded pictures are kept, and how to forget them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from eyebright.cli.output import print_json, print_table

app = typer.Typer(help="Decoded pictures that are kept, so that the next start need not decode them again.")


@app.command("list")
def list_entries(
    json: Annotated[bool, typer.Option("--json", help="Print JSON: an array, one object an entry.")] = False,
) -> None:
    """Show what is kept, the most recently used first."""
    from eyebright.data.cache import cache_limit, entries
    from eyebright.data.workspace import cache_directory

    found = entries()
    if json:
        print_json(
            [
                {
                    "path": str(entry.path),
                    "source": entry.source,
                    "images": entry.images,
                    "image_shape": list(entry.image_shape),
                    "bytes": entry.bytes,
                    "used": datetime.fromtimestamp(entry.used).astimezone().isoformat(timespec="seconds"),
                }
                for entry in found
            ]
        )
        return
    if found:
        from rich.table import Table

        table = Table("pictures of", "images", "size", "MB", "last used")
        for entry in found:
            used = datetime.fromtimestamp(entry.used).astimezone().strftime("%Y-%m-%d %H:%M")
            size = " × ".join(map(str, entry.image_shape))
            table.add_row(entry.source, f"{entry.images:,}", size, f"{entry.bytes / 1e6:,.1f}", used)
        print_table(table)
    total = sum(entry.bytes for entry in found)
    print(f"{total / 1e6:,.1f} MB of at most {cache_limit() / 1e6:,.0f} MB in {cache_directory()}")


@app.command()
def clear() -> None:
    """Remove everything that is kept. Pictures themselves are never touched."""
    from eyebright.data.cache import entries, remove
    from eyebright.data.workspace import cache_directory, remove_leftovers
    from eyebright.errors import DataError

    leftovers = remove_leftovers()
    found = entries()
    stay = [entry for entry in found if not remove(entry.path)]
    freed = leftovers + sum(entry.bytes for entry in found if entry not in stay)
    print(f"Removed {len(found) - len(stay):,} data sets, {freed / 1e6:,.1f} MB.")
    if stay:
        raise DataError(f"{cache_directory()}: {len(stay):,} data sets cannot be removed. May this user write there?")
