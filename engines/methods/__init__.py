"""Every method, by id. A new one is one file here and one entry below."""

from typing import Any

from engines.method import Method, MethodError
from engines.methods.dip_watermark import DipWatermark
from engines.methods.erasable_mask import ErasableMask
from engines.methods.gradient import FAMILY
from engines.methods.id_guard import IdGuard
from engines.methods.ipmn import Ipmn
from engines.methods.tip_im import CenterOpt, TipIm

KINDS: tuple[Any, ...] = (TipIm, DipWatermark, ErasableMask, IdGuard, Ipmn, CenterOpt, *FAMILY)
METHODS: dict[str, Method] = {kind.id: kind() for kind in KINDS}


def method(id: str) -> Method:
    """The method of that id; MethodError names the known ones."""
    if id not in METHODS:
        raise MethodError(f"There is no method called {id!r}: choose from {', '.join(METHODS)}.")
    return METHODS[id]
