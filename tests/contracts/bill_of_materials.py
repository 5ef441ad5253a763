"""Write a software bill of materials (CycloneDX) of each lock: `make sbom` keeps them in .finetrack/sbom/.

A lock states exact versions, and the hash of each file that may be installed for them. Licences are those
that the installed packages state themselves.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import NamedTuple

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from pipeline.core.version import VERSION
from pipeline.storage.files import hash_file, write_file
from pipeline.storage.scratch_folder import create_scratch_folder

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-export.lock", "deploy/requirements.lock")
_PACKAGE = re.compile(r"([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)(?: *; *([^\\]+?))? *\\?")
_HASH = re.compile(r" +--hash=sha256:([0-9a-f]{64}) *\\?")
MAX_LICENSE_LENGTH = 100
"""Characters: some packages state the whole text of their licence where its name belongs."""


class LockedPackage(NamedTuple):
    """A package of a lock file.

    Attributes:
        name: Normalized.
        version: The only one that may be installed.
        marker: Where it is installed, as in PEP 508; empty for everywhere.
        hashes: SHA-256 of each file of this version.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def parse_lock(text: str) -> tuple[LockedPackage, ...]:
    """Parse a lock file.

    Raises:
        ValueError: A line is neither a package with an exact version nor a SHA-256 of one.
    """
    found: list[LockedPackage] = []
    for line in text.splitlines():
        package, digest = _PACKAGE.fullmatch(line), _HASH.fullmatch(line)
        if package:
            found.append(LockedPackage(package[1], package[2], package[3] or "", ()))
        elif digest and found:
            found[-1] = found[-1]._replace(hashes=(*found[-1].hashes, digest[1]))
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"neither an exact version nor a hash: {line}")
    return tuple(found)


def list_locks() -> list[Path]:
    """Return the lock files of this project."""
    return [ROOT / name for name in LOCKS if (ROOT / name).is_file()]


def build_bill(lock: Path) -> Bom:
    """Build the bill of materials of a lock file; the same lock has the same serial number."""
    root = Component(name="finetrack", version=VERSION, type=ComponentType.APPLICATION, bom_ref="finetrack")
    components = [_build_component(package) for package in parse_lock(lock.read_text("utf-8"))]
    bill = Bom(
        metadata=BomMetaData(component=root),
        components=components,
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, hash_file(lock)),
    )
    bill.register_dependency(root, components)
    return bill


def _build_component(package: LockedPackage) -> Component:
    url = PackageURL("pypi", name=package.name, version=package.version)
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(str(url)),
        comment="a hash for each file of this version",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in package.hashes],
    )
    return Component(
        name=package.name,
        version=package.version,
        purl=url,
        bom_ref=str(url) + (f"#{package.marker}" if package.marker else ""),
        licenses=list(_read_licenses(package)),
        external_references=[files],
        properties=[Property(name="finetrack:marker", value=package.marker)] if package.marker else [],
    )


def _read_licenses(package: LockedPackage) -> Iterator[License]:
    """Yield the licence that the installed package states, if it is this version and says it briefly."""
    try:
        stated = metadata(package.name)
    except PackageNotFoundError:
        return
    text = stated.get("License-Expression") or stated.get("License") or ""
    if stated["Version"] == package.version and 0 < len(text) <= MAX_LICENSE_LENGTH and "\n" not in text:
        yield LicenseFactory().make_from_string(text)


def write_bill(lock: Path) -> Path:
    """Write the bill of materials of a lock file, and return its path."""
    place = "-".join(lock.relative_to(ROOT).with_suffix("").parts)
    path = create_scratch_folder("sbom") / f"{place}.cdx.json"
    write_file(path, JsonV1Dot6(build_bill(lock)).output_as_string(indent=2).encode())
    return path


if __name__ == "__main__":
    for each in list_locks():
        print(write_bill(each).relative_to(Path.cwd()))  # noqa: T201
