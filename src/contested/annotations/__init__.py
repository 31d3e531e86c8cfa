"""Annotated files to label counts; label counts to entropy, categories and agreement (NumPy and pandas only)."""

from contested.annotations.categories import FIXED, UNKNOWN, Categories, categorize, cut_counts, resolve_categories
from contested.annotations.core import Annotations
from contested.annotations.disagreement import Disagreement
from contested.annotations.measures import (
    distributions,
    entropy,
    krippendorff_alpha,
    majority,
    pairwise_agreement,
    ties,
)
from contested.annotations.readers import FORMATS, read_annotations
from contested.annotations.receipt import Receipt
from contested.annotations.summary import AnnotatorRange, EntropyAverages, Summary
from contested.annotations.votes import Votes

__all__ = [
    "FIXED",
    "FORMATS",
    "UNKNOWN",
    "Annotations",
    "AnnotatorRange",
    "Categories",
    "Disagreement",
    "EntropyAverages",
    "Receipt",
    "Summary",
    "Votes",
    "categorize",
    "cut_counts",
    "distributions",
    "entropy",
    "krippendorff_alpha",
    "majority",
    "pairwise_agreement",
    "read_annotations",
    "resolve_categories",
    "ties",
]
