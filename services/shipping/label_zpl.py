"""A parcel's label as ZPL II, 4 by 6 inches at 203 dpi, with its tracking number in Code 128.

ZPL is what Zebra's label printers take: the printer itself draws text and barcode. Zebra, "ZPL Programming
Guide": https://docs.zebra.com/us/en/printers/software/zpl-pg.html
"""

from services.shipping.label import Label, address_lines

WIDTH, HEIGHT = 812, 1218
"""In dots."""

MARGIN = 40
QUIET_MODULES = 10
WIDEST_MODULE = 3
"""In dots; a module has a whole number of them."""

BARCODE_HEIGHT = 200


def label_zpl(label: Label) -> bytes:
    """UTF-8, which `^CI28` says."""
    y = 50
    fields = [_text(y, 40, f"{label.carrier} {label.service}"), _text(y + 60, 22, "From")]
    y += 90
    for line in address_lines(label.sender):
        fields.append(_text(y, 26, line))
        y += 30
    fields.append(f"^FO{MARGIN},{y + 10}^GB{WIDTH - 2 * MARGIN},2,2^FS")
    fields.append(_text(y + 30, 22, "To"))
    y += 60
    for line in address_lines(label.recipient):
        fields.append(_text(y, 44, line))
        y += 52
    fields.append(_barcode(label.tracking_number))
    pieces = "1 article" if label.pieces == 1 else f"{label.pieces} articles"
    fields.append(_text(HEIGHT - 60, 26, f"{label.reference}  {pieces}"))
    return "\n".join(["^XA^CI28", f"^PW{WIDTH}^LL{HEIGHT}", *fields, "^XZ", ""]).encode()


def _text(y: int, size: int, text: str) -> str:
    """Narrower where it would not fit: a character of font 0 is some 0.6 of its width wide."""
    width = min(size, int((WIDTH - 2 * MARGIN) / max(1, len(text)) / 0.6))
    return f"^FO{MARGIN},{y}^A0N,{size},{width}^FH_^FD{_escaped(text)}^FS"


def _barcode(number: str) -> str:
    """`>` begins an invocation code in the data of a Code 128 of mode N, and stands for itself as `>0`."""
    # 11 modules a character, with those of start and check, and 13 of stop.
    modules = 11 * (len(number) + 2) + 13
    module = max(1, min(WIDEST_MODULE, WIDTH // (modules + 2 * QUIET_MODULES)))
    x = (WIDTH - modules * module) // 2
    data = _escaped(number.replace(">", ">0"))
    return (
        f"^BY{module}^FO{x},{HEIGHT - 380}^BCN,{BARCODE_HEIGHT},N,N,N,N^FH_^FD>:{data}^FS"
        f"^FO0,{HEIGHT - 160}^A0N,32,32^FB{WIDTH},1,0,C^FH_^FD{_escaped(number)}^FS"
    )


def _escaped(text: str) -> str:
    """`^FH_` makes `_5E` of a caret, which would begin a command; so with `~` and `_` itself."""
    for special in ("_", "^", "~"):
        text = text.replace(special, f"_{ord(special):02X}")
    return text
