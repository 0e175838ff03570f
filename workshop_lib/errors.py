"""The exceptions a caller can foresee: each says what happened, where, and what to do next."""


class WorkshopError(Exception):
    """Anything this package refuses or fails at in a foreseeable way; its text is one clear line."""


class SettingsError(WorkshopError):
    """A setting is missing, wrong or contradicts another."""


class UnknownModelError(WorkshopError):
    """A model is named that the catalogue does not hold."""


class DataError(WorkshopError):
    """A data file is missing, broken or not the one that was shipped."""


class SandboxError(WorkshopError):
    """The sandbox could not be started or reached."""


class PortError(WorkshopError):
    """A port to listen on is in use, not allowed, or does not exist."""
