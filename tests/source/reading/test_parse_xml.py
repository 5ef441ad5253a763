"""XML is parsed in C where nothing can be declared in it, else by defusedxml, to the same outcome."""

from xml.etree.ElementTree import ParseError, tostring

import pytest
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.source.reading.parsing import parse_xml

BOMB = '<?xml version="1.0" encoding="{0}"?><!DOCTYPE a [<!ENTITY b "boom">]><a>&b;</a>'


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-7", "latin-1", "cp1252"]
)
def test_entities_are_refused_in_every_encoding(encoding):
    with pytest.raises((DefusedXmlException, ValueError)):  # some encodings are refused as such
        parse_xml(BOMB.format(encoding.removesuffix("-sig")).encode(encoding))


MARKUP = (
    "<a> </a> <b_c='1'> </b> <d/> <!--_-_--> <![CDATA[<!DOCTYPE]]> <?p_i?> <!DOCTYPE_a> <n:m_xmlns:n='u'/>"
)
pieces = st.sampled_from([*MARKUP.replace("_", "\t").split(" "), *"<x \n\0é", "&amp;", "&e;", "&#233;"])


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, max_size=8).map("".join), st.sampled_from(["utf-8", "utf-16", "latin-1"]))
def test_both_parsers_agree(inside, encoding):
    data = f"<?xml version='1.0' encoding='{encoding}'?><a>{inside}</a>".encode(encoding)
    assert outcome(parse_xml, data) == outcome(fromstring, data)


def outcome(parse, data):
    try:
        return tostring(parse(data))
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        return type(error), str(error)
