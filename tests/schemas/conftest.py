from hypothesis import settings

# A slow moment of the machine is no fault of a document.
settings.register_profile("schemas", deadline=None)
settings.load_profile("schemas")
