"""The settings by `ORDERS_...` variables. Stepwell's own settings are `STEPWELL_...`, among them the database."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ShopSettings(BaseSettings):
    """The defaults are for a demo on one machine: real secrets come from the environment."""

    model_config = SettingsConfigDict(env_prefix="ORDERS_", env_file=".env", extra="ignore", frozen=True)

    stripe_secret: SecretStr = SecretStr("whsec_demo")
    github_secret: SecretStr = SecretStr("github-demo")
    operator: str = "olivia"
    """The user who answers for large orders and sees all runs."""
    review_after: timedelta = timedelta(days=3)
    """The time after an order at which its customer is asked how it was."""
    sales_every: timedelta = timedelta(minutes=10)
    """The time between two sales overviews."""
    slow_card: timedelta = timedelta(seconds=2)
    """The time that the payment gateway takes with a `slow` card."""
    carrier: timedelta = timedelta(seconds=1)
    """The time for which a parcel is on its way."""
    workers: int = Field(default=0, ge=0)
    """Processes that execute runs, beside the one that answers requests; 0: that one does both."""


settings = ShopSettings()
