"""A parcel's label as PDF, 4 by 6 inches, with its tracking number in Code 128."""

import io

from reportlab.graphics.barcode.code128 import Code128
from reportlab.lib.units import inch, mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from services.shipping.label import Label, address_lines, in_latin_1

WIDTH, HEIGHT = 4 * inch, 6 * inch
MARGIN = 6 * mm
QUIET_MODULES = 10
"""White on both sides of a Code 128, in modules (ISO/IEC 15417)."""

WIDEST_MODULE = 0.5 * mm
BARCODE_HEIGHT = 25 * mm
FONT, BOLD = "Helvetica", "Helvetica-Bold"


def label_pdf(label: Label) -> bytes:
    """Some milliseconds of CPU. The same label gives the same bytes."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(WIDTH, HEIGHT), invariant=True, pageCompression=1)
    canvas.setTitle(label.tracking_number)
    y = HEIGHT - MARGIN - 14
    y = _line(canvas, y, f"{label.carrier} {label.service}", BOLD, 14)
    y = _line(canvas, y - 6, "From", FONT, 7)
    for text in address_lines(label.sender):
        y = _line(canvas, y, text, FONT, 8)
    canvas.line(MARGIN, y + 2, WIDTH - MARGIN, y + 2)
    y = _line(canvas, y - 12, "To", FONT, 7)
    for text in address_lines(label.recipient):
        y = _line(canvas, y - 5, text, BOLD, 13)
    _barcode(canvas, label.tracking_number, MARGIN + 14 * mm)
    pieces = "1 article" if label.pieces == 1 else f"{label.pieces} articles"
    _line(canvas, MARGIN, f"{label.reference}  {pieces}", FONT, 8)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _line(canvas: Canvas, y: float, text: str, font: str, size: float) -> float:
    """Smaller where it would not fit. Answers where the next line begins."""
    text = in_latin_1(text)
    width = stringWidth(text, font, size)
    fits = min(size, size * (WIDTH - 2 * MARGIN) / width) if width else size
    canvas.setFont(font, fits)
    canvas.drawString(MARGIN, y, text)
    return y - size * 1.25


def _barcode(canvas: Canvas, number: str, y: float) -> None:
    """As wide as the label allows."""
    modules = Code128(number, barWidth=1.0, quiet=False).width
    module = min(WIDEST_MODULE, WIDTH / (modules + 2 * QUIET_MODULES))
    barcode = Code128(number, barWidth=module, barHeight=BARCODE_HEIGHT, quiet=False)
    barcode.drawOn(canvas, (WIDTH - modules * module) / 2, y)
    canvas.setFont(FONT, 10)
    canvas.drawCentredString(WIDTH / 2, y - 14, number)
