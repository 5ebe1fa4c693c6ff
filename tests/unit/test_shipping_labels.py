"""Labels as a scanner sees them: drawn by others, and their barcodes read back."""

from dataclasses import astuple, replace

import pypdfium2
import pytest
import zplkit
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from services.shipping.label import Label, in_latin_1
from services.shipping.label_pdf import label_pdf
from services.shipping.label_zpl import label_zpl
from services.shipping.messages import Address

SHOP = Address("Orderflow", "1 Warehouse Road", "London", "E16 1AA", "GB")
LABEL = Label(
    "sandbox-post",
    "parcel",
    "TRKSMKHWQMNVGR362SRWTEE",
    SHOP,
    Address("Zoë Müller-Łukasiewicz", "Straße des 17. Juni 135", "Berlin", "10623", "DE"),
    "ord-smkhwqmnvgr362srwtee",
    3,
)


def drawn_pdf(content: bytes) -> Image.Image:
    """At 203 dpi, as a thermal printer has."""
    with pypdfium2.PdfDocument(content) as document:
        assert len(document) == 1
        assert document[0].get_size() == pytest.approx((288, 432))
        return document[0].render(scale=203 / 72).to_pil()


def drawn_zpl(content: bytes) -> Image.Image:
    document = zplkit.render(
        content, zplkit.Options(profile="specification", width=812, height=1218, dpi=203)
    )
    assert [each for each in document.warnings if "fonts" not in each] == []
    [label] = document.labels
    raster = label.rasterize()
    return Image.frombytes("L", (raster.width, raster.height), raster.pixels)


def read(image: Image.Image) -> tuple[str, str]:
    [barcode] = zxingcpp.read_barcodes(image)
    return str(barcode.format).rpartition(".")[2].replace(" ", ""), barcode.text


PLAIN = replace(LABEL, recipient=Address("Zoe Mueller", "Main Street 135", "Berlin", "10623", "DE"))
"""For the renderer of ZPL, whose fonts have few letters beyond ASCII."""

NUMBERS = ["1Z999AA10123456784", "TRK1", "9400110200881234567890", "A-b_c^d~e>f", LABEL.tracking_number]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_barcode_of_a_pdf_is_read_back(number: str) -> None:
    assert read(drawn_pdf(label_pdf(replace(LABEL, tracking_number=number)))) == ("Code128", number)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_barcode_of_a_zpl_is_read_back(number: str) -> None:
    assert read(drawn_zpl(label_zpl(replace(PLAIN, tracking_number=number)))) == ("Code128", number)


def test_a_pdf_says_who_sends_it_to_whom() -> None:
    with pypdfium2.PdfDocument(label_pdf(LABEL)) as document:
        text = document[0].get_textpage().get_text_bounded()
    for part in ("Orderflow", "Zoë Müller-Lukasiewicz", "Straße des 17. Juni 135", "10623 Berlin", "DE"):
        assert part in text
    assert "ord-smkhwqmnvgr362srwtee 3 articles" in text


def test_the_same_label_gives_the_same_bytes() -> None:
    assert label_pdf(LABEL) == label_pdf(LABEL)
    assert label_zpl(LABEL) == label_zpl(LABEL)


def test_what_a_customer_writes_is_no_command_to_the_printer() -> None:
    wicked = replace(PLAIN.recipient, name="^XZ^XA^FDhello^FS", street="~JA_5E")
    image = drawn_zpl(label_zpl(replace(PLAIN, recipient=wicked)))
    assert read(image) == ("Code128", LABEL.tracking_number)


def test_what_the_font_does_not_have_is_written_as_near_as_it_can_be() -> None:
    assert in_latin_1("Łódź, Đorđe’s Œuvre – 東京") == "Lódz, Dorde's OEuvre - ??"
    assert in_latin_1("Cafe\u0301") == "Café"


texts = st.one_of(
    st.text(min_size=1, max_size=60).filter(str.isprintable),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60),
)
addresses = st.builds(Address, texts, texts, texts, texts, st.just("GB"))


@settings(max_examples=25, deadline=None)
@given(addresses, st.integers(1, 2**40))
def test_whatever_the_address_there_is_a_label_whose_barcode_is_read_back(
    address: Address, pieces: int
) -> None:
    label = replace(LABEL, recipient=address, pieces=pieces)
    assert read(drawn_pdf(label_pdf(label))) == ("Code128", LABEL.tracking_number)
    plain = address if all(part.isascii() for part in astuple(address)) else PLAIN.recipient
    zpl = label_zpl(replace(label, recipient=plain))
    assert read(drawn_zpl(zpl)) == ("Code128", LABEL.tracking_number)
