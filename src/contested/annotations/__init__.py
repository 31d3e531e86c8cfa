"""Annotated files to label counts; label counts to entropy, categories and agreement (NumPy and pandas only)."""

from contested.annotations.categories import FIXED, Categories, categorize, resolve_categories
from contested.annotations.core import Annotations, AnnotatorRange, EntropyAverages, Summary
from contested.annotations.measures import (
    distributions,
    entropy,
    krippendorff_alpha,
    majority,
    pairwise_agreement,
    ties,
)
from contested.annotations.readers import FORMATS, read_annotations

__all__ = [
    "FIXED",
    "FORMATS",
    "Annotations",
    "AnnotatorRange",
    "Categories",
    "EntropyAverages",
    "Summary",
    "categorize",
    "distributions",
    "entropy",
    "krippendorff_alpha",
    "majority",
    "pairwise_agreement",
    "read_annotations",
    "resolve_categories",
    "ties",
]
