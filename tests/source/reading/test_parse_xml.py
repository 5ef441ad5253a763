"""XML without a DOCTYPE is parsed in C, other XML by defusedxml, with the same result."""

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
@pytest.mark.fault(1, "XML with entities")
def test_entities_are_refused_in_every_encoding(encoding):
    with pytest.raises((DefusedXmlException, ValueError)):  # some encodings are refused themselves
        parse_xml(BOMB.format(encoding.removesuffix("-sig")).encode(encoding))


MARKUP = (
    "<a> </a> <b_c='1'> </b> <d/> <!--_-_--> <![CDATA[<!DOCTYPE]]> <?p_i?> <!DOCTYPE_a> <n:m_xmlns:n='u'/>"
)
pieces = st.sampled_from([*MARKUP.replace("_", "\t").split(" "), *"<x \n\0é", "&amp;", "&e;", "&#233;"])


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, max_size=8).map("".join), st.sampled_from(["utf-8", "utf-16", "latin-1"]))
def test_both_parsers_give_the_same_result(inside, encoding):
    data = f"<?xml version='1.0' encoding='{encoding}'?><a>{inside}</a>".encode(encoding)
    assert parse_outcome(parse_xml, data) == parse_outcome(fromstring, data)


def parse_outcome(parse, data):
    try:
        return tostring(parse(data))
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        return type(error), str(error)
