"""The machine under the tests is slow at times: nothing here is judged by how long it takes."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
