"""Where networks run: settings, memory presets, devices, and models shared by all walks.

Knows no network. Importable without torch: only `vmem.devices.devices` needs it.
"""

from vmem.devices.memory_presets import MemoryPreset, NotEnoughMemoryError
from vmem.devices.settings import SAMPLERS, NetworkSettings, NetworkSettingsError
from vmem.devices.shared import SharedModel

__all__ = [
    "SAMPLERS",
    "MemoryPreset",
    "NetworkSettings",
    "NetworkSettingsError",
    "NotEnoughMemoryError",
    "SharedModel",
]
