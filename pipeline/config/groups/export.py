"""Schema of conf/export."""

from __future__ import annotations

from pipeline.config.fields import ConfigGroup, Count, Share


class ExportConfig(ConfigGroup):
    """How an exported model is made and judged."""

    tolerance: Share
    calibration: Count
