"""`eyebright datasets`: what the catalogue has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eyebright.cli.options import DataDir, Json
from eyebright.cli.output import print_json, print_table


def datasets(
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """List the data sets that have a name."""
    from eyebright.data.catalog import CATALOG, is_here
    from eyebright.data.loading import data_directory

    directory = data_directory(data_dir)
    rows = [
        {
            "name": entry.name,
            "title": entry.title,
            "images": entry.images,
            "image_shape": list(entry.image_shape),
            "classes": len(entry.class_names),
            "download_bytes": entry.download_bytes,
            "licence": entry.licence,
            "citation": entry.citation,
            "here": is_here(entry, directory),
        }
        for entry in CATALOG.values()
    ]
    if json:
        print_json(rows)
    else:
        _print_table(rows, directory)


def _print_table(rows: list[dict[str, Any]], directory: Path) -> None:
    from rich.table import Table

    table = Table("name", "images", "size", "classes", "download", "here", "licence or terms")
    for row in rows:
        download = f"{row['download_bytes'] / 1e6:,.0f} MB" if row["download_bytes"] else "none"
        size = "×".join(str(number) for number in row["image_shape"])
        here = "yes" if row["here"] else "no"
        table.add_row(row["name"], f"{row['images']:,}", size, str(row["classes"]), download, here, row["licence"])
    print_table(table)
    for row in rows:
        print(f"{row['name']}: {row['title']}. {row['citation']}")
    print(f"They are kept in {directory} (--data-dir or EYEBRIGHT_DATA for another place).")
