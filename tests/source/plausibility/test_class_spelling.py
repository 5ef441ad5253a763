"""Class names that differ in blanks alone are one class, and that is said."""

from pathlib import Path

from pipeline.source.plausibility.class_spelling import describe_class_spellings, merge_class_spellings
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.shapes import TAG, AnnotatedObject


def annotate(*labels: str) -> list[ImageAnnotations]:
    return [ImageAnnotations(Path("x.xml"), ("x",), tuple(AnnotatedObject(name, TAG, "") for name in labels))]


def test_spellings_become_one_class_with_a_remark():
    [entry], [remark] = merge_class_spellings(annotate("cat ", "cat", "  dog"))
    assert [item.label for item in entry.objects] == ["cat", "cat", "dog"]
    assert "'cat' and 'cat '" in remark
    assert "dog" not in remark


def test_blanks_of_layout_alone_are_removed_without_a_remark():
    [entry], remarks = merge_class_spellings(annotate("\n  cat\n", "\n  cat\n"))
    assert ([item.label for item in entry.objects], remarks) == (["cat", "cat"], [])


def test_different_names_are_not_told():
    assert describe_class_spellings(["cat", "dog"]) == []
