"""Values that read the machine are refused wherever a configuration comes from; those of other keys stay."""

from __future__ import annotations

import pytest

from pipeline.compose.interpolations import find_resolvers, require_pure_interpolations
from pipeline.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("plain", []),
        ("${data.epochs}", []),
        ("${data.${which}.epochs} and ${.near}", []),
        ("https://host:80/${data.format}", []),
        ("${oc.env:HOME}", ["oc.env"]),
        ("${ oc.env : HOME, x}", ["oc.env"]),
        ("a ${oc.decode:${oc.env:HOME}} b", ["oc.decode", "oc.env"]),
        ("${oc.${half}:HOME}", ["oc.${half}"]),
        ("${now:%Y} ${hydra:job.name}", ["now", "hydra"]),
        ("${", [""]),
    ],
)
def test_functions_are_found_by_their_names(text, names):
    assert list(find_resolvers(text)) == names


@pytest.mark.parametrize(
    "text", ["${data.epochs}", "${oc.select:data.epochs,3}", "${oc.decode:'1'}", "$5 {a: b}"]
)
def test_values_of_other_keys_are_allowed(text):
    require_pure_interpolations({"finetune": {"epochs": text, "list": [text]}}, "conf/")


@pytest.mark.parametrize(
    "text", ["${oc.env:SECRET}", "x${oc.${a}:SECRET}", "${now:%Y}", "${unknown:1}", "${" * 300]
)
@pytest.mark.fault(1, "a configuration that reads the environment or calls a function")
def test_a_value_that_reads_the_machine_is_refused_by_its_key(text):
    with pytest.raises(UserError, match=r"^conf/: tracking\.tags\[1\]\.a takes its value from this machine"):
        require_pure_interpolations({"tracking": {"tags": ["plain", {"a": text}]}}, "conf/")
