"""The site: `python -m sphinx -W --keep-going -b html docs _build/html` from the project root."""

import configparser
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# The pages document this tree, not another installed copy; the kernels that run the notebooks inherit the same path.
sys.path[:0] = [str(ROOT), str(HERE / "_ext")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")
os.environ["TQDM_DISABLE"] = "1"  # a progress bar on a page is noise
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait sleep; on a busy machine spinning is slow
os.environ.setdefault("OCO2_STORE", str(ROOT / "_build" / "store"))

_settings = configparser.ConfigParser()
_settings.read(ROOT / "settings.ini", encoding="utf-8")
_meta = _settings["DEFAULT"]

project = _meta["title"]
author = _meta["author"]
copyright = _meta["copyright"]
release = version = _meta["version"]
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx.ext.githubpages",
    "sphinx_copybutton",
    "sphinx_design",
    "nbsite",
    "nbahead",
    "nbfigures",
    "disksearch",
]
exclude_patterns = ["_ext", "images", "README.md", "**.ipynb_checkpoints"]

# --- notebooks to pages ---
nbsite_nbs = "../nbs"
nbsite_package = "../" + _meta["lib_path"]
nbsite_pages = [page for page in ["methods", "coming_from_notebooks", "coming_from_libraries", "gpu", "glossary",
                                 "architecture", "contributing", "changelog"] if (HERE / f"{page}.md").is_file()]
nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_ipywidgets_js = {}  # the default loads scripts from other hosts
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "amsmath"]
myst_heading_anchors = 3

# --- API entries ---
autodoc_member_order = "bysource"
# Methods that a class has from our own base classes are told, those of other packages' base classes are not.
autodoc_default_options = {
    "members": True, "show-inheritance": True,
    "inherited-members": "AbstractFileSystem,AbstractBufferedFile,BaseEstimator,ClassifierMixin,OutlierMixin,AnyWidget,"
                         "HasTraits,tuple,dict,ValueError,Protocol,Generic",
}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "DTypeLike": "DTypeLike"}  # else spelled out over five lines
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_ivar = True  # an Attributes section would otherwise describe each attribute twice
napoleon_use_rtype = False
napoleon_preprocess_types = False
default_role = "literal"
toc_object_entries_show_parents = "hide"

# --- formulas: served by the site itself (see nbsite.copy_mathjax) ---
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {"options": {"enableMenu": False}}  # its menu would load parts that the site does not carry

# --- the look ---
html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_favicon = "_static/mark.svg"
html_logo = "_static/mark.svg"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_domain_indices = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5fa5", "color-brand-content": "#0b5fa5"},
    "dark_css_variables": {"color-brand-primary": "#7cc4ff", "color-brand-content": "#7cc4ff"},
    "top_of_page_buttons": [],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
