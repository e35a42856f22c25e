"""What each simulated Roundware session does, drawn from a seed: the same seed gives the same scripts."""

import random

from deploy.fleet.roundware.calls import Document, Script
from deploy.fleet.roundware.listeners import MAKES, Listener, Make
from deploy.fleet.roundware.scenes import NEVER_SILENT, perform

_SITS_OUT_SECONDS = 20.0
"""A script sits out a timeout only where the settings make that short."""

_SHARED_DEVICE = "00000000000000"
"""The web framework's default: one device for every visitor of a site that does not override it."""


def script(seed: int, index: int, began_at: int, silence: float) -> Script:
    """`began_at`: epoch ms, the only thing not drawn from the seed. `silence`: seconds after which a visit is over."""
    rng = random.Random(f"roundware:{seed}:{index}")
    make = rng.choice(MAKES)
    zone = rng.choice(("0000", "-0500", "+0530", "-8000")) if make.clock != "utc" else "0000"
    listener = Listener(make, rng, began_at, zone)
    past_idle = silence * 1.3 + 0.7
    kind = perform(listener, past_idle if past_idle < _SITS_OUT_SECONDS else NEVER_SILENT)
    return Script(
        index,
        f"{make.name}: {kind}",
        _device(make, seed, index, rng),
        rng.choice(("token", "Token", "TOKEN")),
        make.form,
        is_patient=rng.random() < 0.9,
        calls=tuple(listener.calls),
    )


def _device(make: Make, seed: int, index: int, rng: random.Random) -> Document:
    shared = make.name == "streaming web" and rng.random() < 0.5
    name = _SHARED_DEVICE if shared else f"fleet-{seed}-{index}"
    document = {"device_id": name, "client_type": make.client_type}
    return document if make.client_type == "web" else document | {"client_system": make.client_system}
