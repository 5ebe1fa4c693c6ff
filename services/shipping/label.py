"""What stands on a label that we make, because the carrier gives none."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from services.shipping.messages import Address

type LabelFormat = Literal["pdf", "zpl"]

FORMATS: Final[Sequence[LabelFormat]] = get_args(LabelFormat.__value__)
CONTENT_TYPES: Final = {"pdf": "application/pdf", "zpl": "application/zpl"}


@dataclass(frozen=True, slots=True)
class Label:
    """`reference` is the parcel's key; `tracking_number`, in ASCII, is what the barcode says."""

    carrier: str
    service: str
    tracking_number: str
    sender: Address
    recipient: Address
    reference: str
    pieces: int


def address_lines(address: Address) -> list[str]:
    return [address.name, address.street, f"{address.postal_code} {address.city}", address.country]


def in_latin_1(text: str) -> str:
    """For a font that has no more: letters lose the accents that it lacks, and what is left becomes `?`.

    Carriers want addresses that go abroad in Latin letters (UPU S42), which customers must see to.
    """
    return "".join(_in_latin_1(character) for character in unicodedata.normalize("NFC", text))


def _in_latin_1(character: str) -> str:
    if ord(character) < 256:
        return character
    plain = unicodedata.normalize("NFKD", _LETTERS.get(character, character))
    kept = "".join(each for each in plain if ord(each) < 256)
    return kept or "?"


_LETTERS: Final = {"Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "Œ": "OE", "œ": "oe", "ı": "i", "’": "'", "–": "-"}
