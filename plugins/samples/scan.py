"""Makes a page that looks scanned of a plain text: sets it, prints it, and puts it through a bad scanner.

    pip install weasyprint==70.0 pypdfium2==5.15.2 numpy==2.4.6 pillow==13.0.0
    python3 scan.py scanned-report.txt scanned-report.jpg --tilt 0.8
    python3 scan.py scanned-newsletter.txt scanned-newsletter.png --columns 2 --tilt -1.1 --font "DejaVu Sans" --levels 12

The first paragraph is the title, short ones without a full stop are headings. Noise comes from a fixed seed. Needs the DejaVu fonts.
"""

import argparse
import html
import io
from pathlib import Path

import numpy
import pypdfium2
import weasyprint
from PIL import Image, ImageFilter

STYLE = """@page { size: A4; margin: 24mm 22mm } body { font: 10.5pt/1.5 "FONT", serif; text-align: justify }
h1 { font-size: 20pt; margin: 0 0 4mm } h2 { font-size: 13pt; margin: 5mm 0 2mm } p { margin: 0 0 3mm }
div { columns: COLUMNS; column-gap: 9mm }"""


def page(text: str, font: str, columns: int) -> str:
    """The text as HTML; what stands before the first heading spans all columns."""
    title, *rest = [html.escape(part.replace("\n", " ")) for part in text.strip().split("\n\n")]
    heading = lambda part: len(part) < 30 and not part.endswith((".", "6", "7"))
    first = next(i for i, part in enumerate(rest) if heading(part)) if columns > 1 else 0
    tag = lambda i, part: f"<h2>{part}</h2>" if heading(part) and i < len(rest) - 1 else f"<p>{part}</p>"
    parts = [tag(i, part) for i, part in enumerate(rest)]
    style = STYLE.replace("FONT", font).replace("COLUMNS", str(columns))
    return f"<style>{style}</style><h1>{title}</h1>{''.join(parts[:first])}<div>{''.join(parts[first:])}</div>"


def scan(pdf: bytes, dpi: int, tilt: float) -> Image.Image:
    """The first page in gray: tilted, unevenly lit on yellowed paper, a little out of focus, noisy."""
    image = pypdfium2.PdfDocument(pdf)[0].render(scale=dpi / 72, grayscale=True).to_pil().convert("L")
    image = image.rotate(tilt, Image.Resampling.BICUBIC, fillcolor=255).filter(ImageFilter.GaussianBlur(0.7))
    ink = 1 - numpy.asarray(image, dtype=float) / 255
    height, width = ink.shape
    y, x = numpy.mgrid[0:height, 0:width]
    # Darker towards the spine on the left and the lower edge; the paper has a grain that is larger than a pixel.
    light = 0.93 - 0.16 * numpy.exp(-x / (0.09 * width)) - 0.07 * (y / height) ** 2
    random = numpy.random.default_rng(7)
    grain = Image.fromarray((random.random((height // 6, width // 6)) * 255).astype("uint8"))
    grain = numpy.asarray(grain.resize((width, height), Image.Resampling.BICUBIC), dtype=float) / 255 - 0.5
    gray = light * (1 - 0.82 * ink) + 0.03 * grain + random.normal(0, 0.012, ink.shape)
    return Image.fromarray((gray.clip(0, 1) * 255).astype("uint8"))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("text", type=Path)
    arguments.add_argument("image", type=Path)
    arguments.add_argument("--font", default="DejaVu Serif")
    arguments.add_argument("--columns", type=int, default=1)
    arguments.add_argument("--dpi", type=int, default=150)
    arguments.add_argument("--tilt", type=float, default=0.0, help="degrees against the clock")
    arguments.add_argument("--levels", type=int, default=256, help="grays in a PNG")
    given = arguments.parse_args()
    pdf = weasyprint.HTML(string=page(given.text.read_text(), given.font, given.columns)).write_pdf()
    image = scan(pdf, given.dpi, given.tilt)
    if given.image.suffix == ".png":
        step = 256 // given.levels
        image = image.point(lambda gray: min(255, gray // step * step + step // 2)).filter(ImageFilter.MedianFilter(3))
    data = io.BytesIO()
    image.save(data, **({"format": "PNG", "optimize": True} if given.image.suffix == ".png" else {"format": "JPEG", "quality": 55}))
    given.image.write_bytes(data.getvalue())
    print(f"{given.image}: {image.width} x {image.height}, {len(data.getvalue())} bytes")


if __name__ == "__main__":
    main()
