"""Finds files of the working folder that hide a module of the same name from Ray's workers, who look there first."""

import sys
from pathlib import Path
from types import ModuleType

from hnscc.base.errors import InputError

# What the processes that train, and the tables at the end, load, and this process has not yet: packages, and modules of
# Python that these load. A test loads it all, and names what is missing here.
LOADED_LATER = frozenset(
    (
        *("PIL", "albucore", "albumentations", "anyio", "cuda", "cv2", "cycler", "dateutil", "duckdb"),
        *("fontTools", "gdcm", "h11", "httpcore2", "httpx2", "huggingface_hub", "jinja2", "jpeg_ls"),
        *("kiwisolver", "markupsafe", "matplotlib", "mpl_toolkits", "mpmath", "nibabel", "openjpeg"),
        *("pandas", "pydicom", "pylibjpeg", "pyparsing", "ray", "rle", "safetensors", "scipy"),
        *("segmentation_models_pytorch", "simsimd", "stringzilla", "sympy", "timm", "torch"),
        *("torchgen", "torchvision", "triton", "truststore", "cProfile", "cmath", "fileinput"),
        *("getpass", "modulefinder", "pickletools", "pkgutil", "plistlib", "profile", "pstats"),
        *("pydoc", "pyexpat", "socketserver", "statistics", "termios", "timeit", "unittest", "xml"),
    )
)


def refuse_shadowed() -> None:
    """Raise InputError where a file of the working folder has the name of a module that this process has loaded
    from elsewhere, or that its workers will load. They look into the working folder first, and would import that
    file instead."""
    here = Path.cwd()
    found = sorted({path.name for path in here.iterdir() if _shadows(path)})
    if found:
        raise InputError(
            "A file in the working folder hides a package of the same name from Ray's workers.",
            where=str(here),
            expected="no file or folder there that is called like an installed package or a module of Python",
            found=", ".join(found),
            do="rename it, or give the command in another folder",
        )


def _shadows(path: Path) -> bool:
    is_module = path.suffix == ".py" or (path / "__init__.py").is_file()
    if is_module and path.stem in LOADED_LATER and path.stem not in sys.modules:
        return True
    module = sys.modules.get(path.stem) if is_module else None
    return module is not None and path.stem != "__main__" and not _is_from(module, path)


def _is_from(module: ModuleType, path: Path) -> bool:
    """Return whether the module was loaded from this path, or is built in, so that nothing hides it."""
    file = getattr(module, "__file__", None)
    if file is None:
        return not hasattr(module, "__path__")
    return Path(file).resolve() in (path.resolve(), (path / "__init__.py").resolve())
