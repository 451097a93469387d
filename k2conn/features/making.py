"""The way to a maker of features for whoever may be without numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k2conn.errors import SettingsError
from k2conn.features.envelopes import TOPIC
from k2conn.features.settings import FeatureSettings

if TYPE_CHECKING:
    from k2conn.features.maker import FeatureMaker


def feature_maker(settings: FeatureSettings, topic: str = TOPIC) -> FeatureMaker:
    """A maker. SettingsError where numpy is not installed."""
    try:
        from k2conn.features.maker import FeatureMaker
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        raise SettingsError("features need a package more: pip install 'k2conn[features]'") from None
    return FeatureMaker(settings, topic)
