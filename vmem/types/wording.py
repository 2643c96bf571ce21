"""Numbers as every explanation words them."""


def percent(share: float, decimals: int = 0) -> str:
    """A share in [0, 1] in per cent; a share too small for ``decimals`` is "< 1 %", not "0 %"."""
    least = 10.0**-decimals
    return f"< {least:g} %" if 0 < 100 * share < least / 2 else f"{100 * share:.{decimals}f} %"
