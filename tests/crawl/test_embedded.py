"""What files say of themselves: made here byte by byte or by Pillow, whole, odd and broken."""

import io
import json
import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from stages import rights
from stages.crawl import embedded, manifests
from stages.records import Evidence

BY = "https://creativecommons.org/licenses/by/4.0/"
DMI = "http://ns.useplus.org/ldf/vocab/DMI-"
NAMES = """xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:cc="http://creativecommons.org/ns#"
xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"
xmlns:tdm="http://www.w3.org/ns/tdmrep/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" """


def packet(inside="", attributes=""):
    description = f'<rdf:Description rdf:about="" {attributes}>{inside}</rdf:Description>'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {NAMES}>{description}</rdf:RDF></x:xmpmeta>'.encode()


def saved(kind="JPEG", **options):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, kind, **options)
    return file.getvalue()


def png(packet, *, packed=False):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet.decode(), zip=packed)
    return saved("PNG", pnginfo=info)


def said(inside="", attributes=""):
    return embedded.read(saved(xmp=packet(inside, attributes)))


def evidence(where, raw):
    return Evidence(where=where, raw=raw, scope="picture")


def verdicts(found):
    return [(each.verdict, each.category) for each in found.signals]


# XMP


def test_xmp_says_all_that_a_rights_statement_has():
    found = said(
        f"""<dc:rights><rdf:Alt><rdf:li xml:lang="de">© Anna</rdf:li><rdf:li xml:lang="x-default">© Ann</rdf:li></rdf:Alt></dc:rights>
        <dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Bob</rdf:li></rdf:Seq></dc:creator>
        <dc:title><rdf:Alt><rdf:li xml:lang="x-default">The cat</rdf:li></rdf:Alt></dc:title>
        <cc:license rdf:resource="{BY}"/><photoshop:Credit> Ann / Agency </photoshop:Credit>""",
        f'xmpRights:WebStatement="{BY}" xmpRights:Marked="True"',
    )
    assert (found.title, found.author, found.credit) == ("The cat", "Ann", "Ann / Agency")
    assert found.evidence == (
        evidence("xmp xmpRights:WebStatement", BY),
        evidence("xmp dc:rights", "© Ann"),
        evidence("xmp cc:license", BY),
    )
    assert rights.licence_of(found.evidence) == "CC-BY-4.0"
    assert found.signals == ()


@pytest.mark.parametrize(
    "body",
    [
        saved("JPEG", xmp=packet(attributes=f'cc:license="{BY}"')),
        saved("WEBP", xmp=packet(attributes=f'cc:license="{BY}"')),
        saved("AVIF", xmp=packet(attributes=f'cc:license="{BY}"')),
        saved("TIFF", tiffinfo={700: packet(attributes=f'cc:license="{BY}"')}),
        png(packet(attributes=f'cc:license="{BY}"')),
        png(packet(attributes=f'cc:license="{BY}"'), packed=True),
        b"no picture at all" + packet(attributes=f'cc:license="{BY}"'),
        packet(attributes=f'cc:license="{BY}"').split(b">", 1)[1].removesuffix(b"</x:xmpmeta>"),
    ],
    ids=["jpeg", "webp", "avif", "tiff", "png", "packed png", "anything", "without x:xmpmeta"],
)
def test_xmp_is_found_in_every_container(body):
    assert embedded.read(body).evidence == (evidence("xmp cc:license", BY),)


def test_terms_in_words_are_a_statement_and_usually_an_unknown_one():
    terms = "<xmpRights:UsageTerms><rdf:Alt><rdf:li>Ask first</rdf:li></rdf:Alt></xmpRights:UsageTerms>"
    found = said(terms, f'xmpRights:WebStatement="{BY}"')
    assert len(found.evidence) == 2
    assert rights.licence_of(found.evidence) == ""


def test_what_xmp_says_of_an_ingredient_is_not_said_of_the_picture():
    inside = f'<rdf:Description cc:license="{BY}"><plus:DataMining>{DMI}PROHIBITED</plus:DataMining></rdf:Description>'
    found = said(f"<xmpMM:Pantry><rdf:Bag><rdf:li>{inside}</rdf:li></rdf:Bag></xmpMM:Pantry>")
    assert (found.evidence, found.signals) == ((), ())


@pytest.mark.parametrize(
    ("term", "verdict"),
    [
        ("UNSPECIFIED", ("unknown", "tdm")),
        ("ALLOWED", ("allow", "tdm")),
        ("PROHIBITED", ("deny", "tdm")),
        ("PROHIBITED-AIMLTRAINING", ("deny", "train-any")),
        ("PROHIBITED-GENAIMLTRAINING", ("deny", "train-generative")),
        ("PROHIBITED-EXCEPTSEARCHENGINEINDEXING", ("deny", "tdm")),
        ("PROHIBITED-SEECONSTRAINT", ("deny", "tdm")),
        ("PROHIBITED-SEEEMBEDDEDRIGHTSEXPR", ("deny", "tdm")),
        ("PROHIBITED-SEELINKEDRIGHTSEXPR", ("deny", "tdm")),
        ("PROHIBITED-BY-A-VALUE-OF-TOMORROW", ("deny", "tdm")),
        ("SOMETHING", ("unknown", "tdm")),
    ],
)
def test_every_value_of_plus_data_mining_is_read_and_kept_raw(term, verdict):
    for found in (
        said(f"<plus:DataMining>{DMI}{term}</plus:DataMining>"),
        said(f'<plus:DataMining rdf:resource="{DMI}{term}"/>'),
        said(attributes=f'plus:DataMining="{DMI}{term}"'),
    ):
        assert verdicts(found) == [verdict]
        (signal,) = found.signals
        assert (signal.layer, signal.kind, signal.raw, signal.scope) == (
            "file",
            "plus:DataMining",
            f"{DMI}{term}",
            "picture",
        )
    assert verdicts(said(attributes=f'plus:DataMining="DMI-{term}"')) == [verdict]


@pytest.mark.parametrize(("value", "verdict"), [("1", "deny"), ("0", "allow"), ("yes", "unknown")])
def test_a_reservation_of_mining_in_xmp_is_a_signal(value, verdict):
    assert verdicts(said(attributes=f'tdm:reservation="{value}"')) == [(verdict, "tdm")]


@pytest.mark.parametrize(
    "broken",
    [
        packet(attributes=f'plus:DataMining="{DMI}ALLOWED"').replace(b"</rdf:RDF>", b""),
        packet(attributes=f'plus:DataMining="{DMI}ALLOWED"').replace(
            b"<rdf:RDF", b'<!DOCTYPE x [<!ENTITY a "b">]><rdf:RDF'
        ),
        b'<?xml version="1.0" encoding="none"?>' + packet(attributes=f'plus:DataMining="{DMI}ALLOWED" \x80=""'),
        packet(attributes=f'plus:DataMining="{DMI}ALLOWED"')[:-30],
    ],
)
def test_a_broken_packet_about_mining_is_unknown_and_never_an_allowance(broken):
    found = embedded.read(saved(xmp=broken))
    assert verdicts(found) == [("unknown", "tdm")]


def test_a_bomb_of_entities_is_not_read():
    lol = "".join(f'<!ENTITY l{n} "{"".join([f"&l{n - 1};"] * 10)}">' for n in range(1, 9))
    body = f'<!DOCTYPE x [<!ENTITY l0 "lol">{lol}]>'.encode() + packet("<dc:rights>&l8;</dc:rights>")
    start = time.process_time()
    assert embedded.read(b"<x:xmpmeta>" + body).evidence == ()
    assert time.process_time() - start < 5


def test_a_packet_with_a_document_type_is_not_read():
    body = b'<!DOCTYPE x [<!ENTITY a "CC0">]>' + packet("<dc:rights>&a;</dc:rights>")
    assert embedded.read(png(body, packed=True)).evidence == ()
    assert embedded.read(png(body.replace(b"&a;", b"CC0")[32:], packed=True)).evidence == (
        evidence("xmp dc:rights", "CC0"),
    )


# IPTC-IIM


def iim(*records):
    block = b"".join(struct.pack(">BBBH", 0x1C, 2, number, len(value)) + value for number, value in records)
    resource = b"8BIM" + struct.pack(">HBBI", 0x0404, 0, 0, len(block)) + block + b"\0" * (len(block) % 2)
    other = b"8BIM" + struct.pack(">H", 0x03ED) + b"\x03abc" + struct.pack(">I", 3) + b"xyz\0"
    return segment(0xED, b"Photoshop 3.0\0" + other + resource)


def segment(marker, content):
    """A JPEG with one more segment."""
    whole = saved()
    return whole[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + whole[2:]


def test_iptc_iim_says_title_author_credit_and_copyright():
    found = embedded.read(
        iim((5, b"The cat"), (80, "Zoë".encode()), (110, b"Agency"), (116, b"\xa9 Ann"), (25, b"word"))
    )
    assert (found.title, found.author, found.credit) == ("The cat", "Zoë", "Agency")
    assert found.evidence == (evidence("iptc copyright", "© Ann"),)
    assert rights.licence_of(found.evidence) == ""


def test_fill_before_a_marker_hides_nothing():
    body = jpeg_with(store(DENIED)).replace(b"\xff\xeb", b"\xff\xff\xff\xeb")
    assert [each.verdict for each in embedded.read(body).signals] == ["deny"]


def test_a_refusal_in_iptc_iim_is_kept_and_counts():
    found = embedded.read(iim((116, b"(c) Ann. All Rights Reserved")))
    page = Evidence(where="rel=license", raw=BY, scope="page")
    assert rights.licence_of([*found.evidence, page]) == ""


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_cut_off_record_is_passed_over(cut):
    embedded.read(iim((5, b"x" * 60))[: 40 + cut])


# C2PA


def box(kind, content):
    return struct.pack(">I4s", len(content) + 8, kind) + content


def labelled(label, *inside):
    return box(b"jumb", box(b"jumd", b"\0" * 16 + b"\x03" + label.encode() + b"\0") + b"".join(inside))


def cbor(value):
    """``value`` in CBOR, RFC 8949, by the shortest heads."""
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(key) + cbor(each) for key, each in value.items())
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, (bool, type(None))):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    return head(3, len(value.encode())) + value.encode()


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    width = next(power for power in range(4) if number < 1 << (8 << power))
    return bytes([major << 5 | 24 + width]) + number.to_bytes(1 << width, "big")


def store(entries, label="cawg.training-mining", content=None):
    assertion = labelled(label, box(b"cbor", cbor({"entries": entries}) if content is None else content))
    claim = labelled("c2pa.claim", box(b"cbor", cbor({"alg": "es256"})))
    assertions = labelled(
        "c2pa.assertions", labelled("c2pa.hash.data", box(b"cbor", cbor({"pad": b"\0" * 9}))), assertion
    )
    return labelled("c2pa", labelled("urn:uuid:1", assertions, claim))


def jpeg_with(store, size=50):
    """As segments APP11 of ``size`` bytes of the box, each with the box's head before it."""
    parts, rest = [store[:size]], store[size:]
    while rest:
        parts, rest = [*parts, store[:8] + rest[:size]], rest[size:]
    body = saved()
    segments = [b"JP" + struct.pack(">HI", 1, number) + part for number, part in enumerate(parts, start=1)]
    marked = b"".join(struct.pack(">BBH", 0xFF, 0xEB, len(each) + 2) + each for each in segments)
    return body[:2] + marked + body[2:]


def png_with(store):
    chunk = struct.pack(">I", len(store)) + b"caBX" + store + struct.pack(">I", zlib.crc32(b"caBX" + store))
    return saved("PNG")[:33] + chunk + saved("PNG")[33:]


def webp_with(store):
    return saved("WEBP") + struct.pack("<4sI", b"C2PA", len(store)) + store + b"\0" * (len(store) % 2)


def avif_with(store):
    uuid = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
    return saved("AVIF") + box(b"uuid", uuid + b"\0" * 4 + b"manifest\0" + b"\0" * 8 + store)


FILES = [jpeg_with, png_with, webp_with, avif_with]
DENIED = {"cawg.ai_generative_training": {"use": "notAllowed"}}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", ["cawg", "c2pa"])
def test_the_assertion_is_found_in_every_container_under_both_its_names(file, name):
    entry = {f"{name}.ai_generative_training": {"use": "notAllowed"}}
    (signal,) = embedded.read(file(store(entry, label=f"{name}.training-mining"))).signals
    assert (signal.layer, signal.kind, signal.verdict) == ("file", f"{name}.training-mining", "deny")
    assert (signal.category, signal.scope) == ("train-generative", "picture")
    assert json.loads(signal.raw) == entry


@pytest.mark.parametrize("file", FILES)
def test_a_file_with_a_manifest_is_still_a_picture(file):
    Image.open(io.BytesIO(file(store(DENIED)))).load()


@pytest.mark.parametrize(
    ("use", "verdict"),
    [("allowed", "allow"), ("notAllowed", "deny"), ("constrained", "deny"), ("maybe", "unknown"), (None, "unknown")],
)
@pytest.mark.parametrize(
    ("entry", "category"), [("ai_generative_training", "train-generative"), ("ai_training", "train-any"), ("data_mining", "tdm")]
)  # fmt: skip
def test_every_use_and_every_entry_is_read(entry, category, use, verdict):
    found = manifests.signals(store({f"cawg.{entry}": {"use": use, "constraint_info": "ask"}}))
    assert [(each.verdict, each.category) for each in found] == [(verdict, category)]


def test_entries_about_something_else_say_nothing_of_training():
    assert manifests.signals(store({"cawg.ai_inference": {"use": "notAllowed"}, "x.other": {"use": "allowed"}})) == []
    assert manifests.signals(store(DENIED, label="c2pa.actions")) == []
    assert manifests.signals(b"") == []


@pytest.mark.parametrize("label", ["cawg.training-mining__2", "c2pa.training-mining.v2"])
def test_further_instances_and_versions_are_read(label):
    assert [each.verdict for each in manifests.signals(store(DENIED, label=label))] == ["deny"]


def test_an_assertion_in_json_and_one_without_its_frame_are_read():
    as_json = labelled("c2pa", labelled("cawg.training-mining", box(b"json", json.dumps({"entries": DENIED}).encode())))
    assert [each.verdict for each in manifests.signals(as_json)] == ["deny"]
    assert [each.verdict for each in manifests.signals(store(None, content=cbor(DENIED)))] == ["deny"]


def test_lengths_of_every_width_are_read():
    entries = {f"x{n}": "y" * length for n, length in enumerate((23, 24, 255, 256, 65_535, 65_536))} | {
        "z": [1, -500, True]
    }
    found = manifests.signals(store(None, content=b"\xd8\x20" + cbor({"entries": DENIED, **entries})))
    assert [each.verdict for each in found] == ["deny"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\xbf", b"\x7f", cbor({"entries": []}), cbor({"entries": {"cawg.data_mining": "allowed"}}), cbor([1]), b"\x81" * 99,
     b"\xa1\x65entr", b"\x9b" + b"\xff" * 8, b"\x62\xff\xff", b"\x1c"],
)  # fmt: skip
def test_an_assertion_that_cannot_be_read_is_unknown_and_never_an_allowance(content):
    assert [each.verdict for each in manifests.signals(store(None, content=content))] == ["unknown"]


def test_an_assertion_deeper_than_any_is_unknown():
    deep = b"\x81" * 15 + b"\x00"
    assert [
        each.verdict
        for each in manifests.signals(store(None, content=b"\xa2\x61x" + deep + cbor("entries") + cbor(DENIED)))
    ] == ["deny"]
    deep = b"\x81" * 17 + b"\x00"
    assert [
        each.verdict
        for each in manifests.signals(store(None, content=b"\xa2\x61x" + deep + cbor("entries") + cbor(DENIED)))
    ] == ["unknown"]


def test_a_packed_or_cut_off_manifest_is_unknown():
    assert [each.verdict for each in manifests.signals(labelled("c2pa", box(b"brob", b"x")))] == ["unknown"]
    assert [each.verdict for each in manifests.signals(store(DENIED)[:-5])] == ["unknown"]
    assert [each.verdict for each in manifests.signals(box(b"free", b"") * 10_001)] == ["unknown"]


@given(st.data())
def test_whatever_byte_is_changed_no_denial_becomes_an_allowance(data):
    body = bytearray(store({"cawg.ai_training": {"use": "notAllowed"}}))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert all(each.verdict != "allow" for each in manifests.signals(bytes(body)))


@given(
    st.sampled_from([b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBP", b"....ftypavif", b"<x:xmpmeta", b""]),
    st.binary(max_size=300),
)
def test_no_file_makes_it_raise(magic, rest):
    embedded.read(magic + rest)


WHOLE = [
    jpeg_with(store(DENIED)),
    png_with(store(DENIED)),
    webp_with(store(DENIED)),
    avif_with(store(DENIED)),
    iim((5, b"x")),
]


@given(st.sampled_from(WHOLE), st.data())
def test_no_damage_makes_it_raise(body, data):
    damaged = bytearray(body)
    for _ in range(3):
        damaged[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    embedded.read(bytes(damaged[: data.draw(st.integers(0, len(body)))]))
