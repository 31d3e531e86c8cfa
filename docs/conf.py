"""The site of the documentation: Markdown by MyST, the reference from the docstrings, the commands from their help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "contested"
author = "The contested authors"
html_show_copyright = False
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.doctest",
    "sphinx.ext.viewcode",
    "from_code",
]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!contested\.).*")
]  # what other packages define; their inventories are not fetched

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["misc.highlighting_failure"]  # csv, of which Pygments knows nothing

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "imported-members": True, "exclude-members": "model_config"}
python_maximum_signature_line_length = 90
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the signature has them

smartquotes = False  # options are to be copied

html_theme = "furo"
html_title = "contested"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
