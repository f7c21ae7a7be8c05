"""Where a name is defined, for the {src} role of the site (conf.py) and for the tests."""

import inspect
import pkgutil
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def locate(name):
    """The file and the line of a dotted name, such as ("minigan/layers/dense.py", 15)."""
    definition = inspect.unwrap(pkgutil.resolve_name(name))  # an op wraps its function
    lines, first = inspect.getsourcelines(definition)
    decorators = takewhile(lambda line: line.lstrip().startswith("@"), lines)
    path = Path(inspect.getsourcefile(definition)).relative_to(ROOT)
    return path.as_posix(), first + len(list(decorators))
