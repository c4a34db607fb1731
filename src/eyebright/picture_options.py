"""How picture files become the images of a data set: the settings that say it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

Fit = Literal["crop", "stretch", "pad"]
Colour = Literal["auto", "grey", "rgb"]
FITS: tuple[Fit, ...] = get_args(Fit)
DEFAULT_FIT: Fit = "crop"
DEFAULT_SIDE = 64  # of an image, where pictures differ in size


def as_size(value: Any) -> Any:
    """A flag's "64" or "48x64" (height by width), or a file's number or list, as (height, width); else as it is.

    >>> as_size("64"), as_size("48x64"), as_size([48, 64]), as_size(64)
    ((64, 64), (48, 64), (48, 64), (64, 64))
    """
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+)(?:[x×](\d+))?", value.strip())):
        height = int(match[1])
        return height, int(match[2] or height)
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    return tuple(value) if isinstance(value, list) else value


_Side = Annotated[int, Field(ge=1, le=4096)]
Size = Annotated[tuple[_Side, _Side], BeforeValidator(as_size)]
Text = Annotated[str, Field(min_length=1)]


class PictureOptions(BaseModel):
    """What is read of a folder, table or archive of pictures, and how. Immutable.

    >>> PictureOptions(image_size="48x64").image_size
    (48, 64)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    image_size: Size | None = Field(
        None,
        description="Of pictures: the size that they are brought to, one number or HEIGHTxWIDTH. If not given, their "
        f"own where all have the same of at most {DEFAULT_SIDE} pixels, else {DEFAULT_SIDE}.",
    )
    fit: Fit = Field(
        DEFAULT_FIT,
        description="Of pictures of other proportions: crop the middle (shapes stay as they are), stretch (nothing is "
        "cut off) or pad with black.",
    )
    colour: Colour = Field(
        "auto", description="Of pictures: grey, rgb, or auto: grey where all of them are grey in their files."
    )
    max_pixels: int = Field(
        100_000_000, ge=1, lt=2**31, description="Pictures of more pixels are refused: they may be made to fill memory."
    )
    image_column: Text | None = Field(
        None, description="Of a table: the column of the pictures' paths. If not given, one of the usual names."
    )
    label_column: Text | None = Field(
        None, description="Of a table: the column of the classes. If not given, one of the usual names."
    )
    split_column: Text | None = Field(
        None, description="Of a table: the column that says train, validation or test. If not given, split, if any."
    )
    group_column: Text | None = Field(
        None,
        description="Of a table: a column whose equal values (a patient, a video, an object) stay on one side of every "
        "split.",
    )
    group_regex: Text | None = Field(
        None,
        description="The same by path: pictures for which the pattern's first group (or the whole match) is equal stay "
        "on one side of every split.",
    )
    exclude: Text | None = Field(None, description="A file of pictures to leave out, one path a line.")
    allow_outside: bool = Field(
        False, description="Let a table name pictures outside of the directory that it lies in."
    )

    @field_validator("group_regex")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value

    @property
    def picture_options(self) -> PictureOptions:
        """These options alone, where they are part of more."""
        return PictureOptions(**{name: getattr(self, name) for name in PictureOptions.model_fields})

    @property
    def given(self) -> list[str]:
        """Names of the options that are not at their default."""
        fields = PictureOptions.model_fields
        return [name for name, field in fields.items() if getattr(self, name) != field.default]


# What means nothing for data that come as arrays of pixels. `fit` does: the classifier has it.
OF_PICTURE_FILES = frozenset(PictureOptions.model_fields) - {"fit"}
