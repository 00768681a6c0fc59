"""Whom to name for a picture and what one may do with it, inside its file, and nothing else: no place, camera or time."""

import io
import re
from html import escape

from PIL import Image, PngImagePlugin

from stages.images import Pixels
from stages.records import Item

_KEY = "XML:com.adobe.xmp"  # where PNG keeps XMP: ISO 16684-1, and the PNG specification's iTXt
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # for XML 1.0, section 2.2
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    ' xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/">'
    "<photoshop:Credit>{credit}</photoshop:Credit><xmpRights:UsageTerms><rdf:Alt>"
    '<rdf:li xml:lang="x-default">{licence}</rdf:li></rdf:Alt></xmpRights:UsageTerms>'
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def packet(item: Item) -> str:
    """XMP with the licence of ``item`` (SPDX) and its credit line, or its author where there is none.

    Empty when nothing is known of either.
    """
    credit, licence = (_as_xml(text) for text in (item.credit or item.author, item.licence))
    return _PACKET.format(credit=credit, licence=licence) if credit or licence else ""


def encode_png(pixels: Pixels, item: Item) -> bytes:
    """``pixels``, uint8[H, W, 3] RGB, as a PNG file whose only metadata is the ``packet`` of ``item``."""
    buffer, said = io.BytesIO(), PngImagePlugin.PngInfo()
    if xmp := packet(item):
        said.add_itxt(_KEY, xmp)
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6, pnginfo=said)
    return buffer.getvalue()


def _as_xml(text: str) -> str:
    return escape(_UNFIT.sub("", text).strip())
