"""What happens in a simulated session, scene by scene: the mixes real players show (collection-api.md 6)."""

from deploy.fleet.players import Document, Player


def perform(player: Player, still_seconds: float, *, offline: bool) -> str:
    """Let the player live a session; what kind it was, in words."""
    rng = player.rng
    live = not offline and rng.random() < 0.12
    length = 86_400 if live else rng.choice((60, 90.5, 300, 1200, 2700))
    player.playhead = rng.randrange(30_000, 80_000) * 1000 if live else 0
    _start(player, length, live=live, offline=offline)
    if not offline and rng.random() < 0.05:
        return "no events"
    if rng.random() < 0.35:
        player.ad_break(rng.randrange(1, 4), is_closed=rng.random() < 0.95)
        if rng.random() < 0.08:
            return _leave(player, "pre-roll drop", offline=offline)
    elif rng.random() < 0.3:
        player.say("bufferStart")
        player.wait(rng.randrange(200, 8000))
    player.play()
    for _ in range(rng.randrange(1, 9)):
        rng.choice(_SCENES)(player)
    if not offline and rng.random() < 0.04:
        _stand_still(player, still_seconds)
        return "still"
    if rng.random() < 0.2:
        player.ad_break(rng.randrange(1, 3))
    return _leave(player, "watched", offline=offline)


def _start(player: Player, length: float, *, live: bool, offline: bool) -> None:
    rng = player.rng
    params: Document = {
        "analytics.trackingServer": "metrics.example.com",
        "analytics.reportSuite": "fleet",
        "visitor.marketingCloudOrgId": "0123456789ABCDEF01234567@AdobeOrg",
        "media.id": f"content {rng.randrange(200)}",
        "media.length": length,
        "media.contentType": "live" if live else rng.choice(("vod", "VOD", "podcast", "song")),
        "media.libraryVersion": player.make.library,
        "media.playerName": "fleet player",
        "media.channel": "fleet",
    }
    optional: Document = {
        "media.name": "A/B film ÄÖ",
        "media.streamType": rng.choice(("video", "audio")),
        "media.resume": rng.random() < 0.5,
        "media.sdkVersion": "1.2.3",
        "media.show": "show",
        "media.season": "2",
        "media.genre": "drama, news",
        "media.pass.auth": "true",
        "media.showType": "0",
        "analytics.visitorId": f"v{rng.randrange(10_000)}",
        "visitor.marketingCloudUserId": f"{rng.randrange(10**12)}",
        "visitor.customerIDs": {"crm": {"id": f"{rng.randrange(99)}", "authState": 1}},
    }
    params |= {key: value for key, value in optional.items() if rng.random() < 0.5}
    for key in ("media.playerName", "media.channel"):
        if player.make.library.startswith("ios") and rng.random() < 0.2:
            del params[key]
    if not player.make.library:
        del params["media.libraryVersion"]
    if offline and rng.random() < 0.7:
        params["media.downloaded"] = True
    meta = {"season": "S2", "tag.x": "Tiếng Việt"} if rng.random() < 0.4 else None
    player.say("sessionStart", params=params, qoe=player.quality() if rng.random() < 0.3 else None, meta=meta)
    player.ts += rng.choice((0, 0, 40, 1200))


def _watch(player: Player) -> None:
    player.watch(player.rng.randrange(3000, 90_000))


def _pause(player: Player) -> None:
    player.watch(player.rng.randrange(2000, 20_000))
    player.pause(player.rng.randrange(500, 60_000))


def _long_pause(player: Player) -> None:
    """Something is told in the middle of it; it may come very late."""
    player.watch(player.rng.randrange(2000, 20_000))
    player.say("pauseStart")
    player.wait(player.rng.randrange(70_000, 150_000))
    _tell(player)
    player.wait(player.rng.randrange(160_000, 250_000))
    player.say("play")


def _tell(player: Player) -> None:
    if player.rng.random() < 0.5:
        player.fail(f"E{player.rng.randrange(5)}", player.rng.choice(("player", "external")))
    else:
        player.say("bitrateChange", qoe=player.quality())


def _buffer(player: Player) -> None:
    player.watch(player.rng.randrange(2000, 20_000))
    player.buffer(player.rng.randrange(200, 9000))


def _seek(player: Player) -> None:
    player.watch(player.rng.randrange(4000, 25_000))
    to = max(0, player.playhead + player.rng.choice((-30_000, -8000, 15_000, 40_000, 120_000)))
    player.rng.choice((player.seek_as_pause, player.seek_untold))(to)


def _stall(player: Player) -> None:
    player.watch(player.rng.randrange(2000, 15_000))
    player.stall(player.rng.randrange(1000, 45_000))


def _mid_roll(player: Player) -> None:
    player.watch(player.rng.randrange(3000, 30_000))
    player.ad_break(player.rng.randrange(1, 3), is_closed=player.rng.random() < 0.97)


def _paused_into_an_ad(player: Player) -> None:
    """The SDKs tell the true state again after adStart: the same pauseStart, byte for byte, and both are meant."""
    player.watch(player.rng.randrange(2000, 15_000))
    player.paused_break(player.rng.randrange(500, 8000))


def _quality(player: Player) -> None:
    player.watch(player.rng.randrange(1000, 15_000))
    player.say("bitrateChange", qoe=player.quality() if player.rng.random() < 0.9 else None)


def _error(player: Player) -> None:
    player.watch(player.rng.randrange(1000, 15_000))
    player.fail(f"E{player.rng.randrange(5)}", player.rng.choice(("player", "external")))


def _states(player: Player) -> None:
    names = player.rng.sample(("fullscreen", "mute", "pictureInPicture", "inFocus", "custom.one"), 2)
    if player.rng.random() < 0.5:
        player.state(names[0], player.rng.randrange(1500, 30_000))
        return
    player.watch(1500)
    player.update_states([], names)
    player.watch(player.rng.randrange(1500, 20_000))
    player.update_states(names[:1] if player.rng.random() < 0.3 else names, [])


def _chapter(player: Player) -> None:
    player.watch(player.rng.randrange(1500, 8000))
    length = player.rng.randrange(5000, 60_000)
    player.open_chapter(length)
    player.watch(length // 2)
    player.rng.choice((_watch, _pause, _stall, _mid_roll, _quality))(player)
    ending = player.rng.random()
    if ending < 0.6:
        player.say("chapterComplete")
    elif ending < 0.8:
        player.say("chapterSkip")  # else the next chapter or the end closes it


def _stall_over_a_chapter_end(player: Player) -> None:
    """The chapter is reported, then the stall is found: its row is revised."""
    player.watch(player.rng.randrange(1500, 8000))
    player.open_chapter(30_000)
    player.watch(player.rng.randrange(5000, 20_000))
    player.say("ping")
    player.wait(player.rng.randrange(1500, 9000))
    player.say("chapterComplete")
    player.wait(player.rng.randrange(1500, 9000))
    player.say("ping")


_SCENES = (
    _watch,
    _watch,
    _watch,
    _pause,
    _long_pause,
    _buffer,
    _seek,
    _stall,
    _mid_roll,
    _paused_into_an_ad,
    _quality,
    _error,
    _states,
    _chapter,
    _chapter,
    _stall_over_a_chapter_end,
)


def _leave(player: Player, kind: str, *, offline: bool) -> str:
    rng = player.rng
    if kind == "watched":
        player.watch(rng.randrange(1500, 20_000))
    ending = rng.random()
    if ending < 0.2 and not offline:
        return f"{kind}, abandoned"
    if ending < 0.4:
        player.say("sessionEnd")
        return f"{kind}, ended"
    if kind != "watched":
        player.say("sessionEnd")
        return f"{kind}, ended"
    player.say("sessionComplete")
    if ending > 0.8:
        return _replay(player, offline=offline)
    if ending > 0.65:
        player.ts += 500
        player.say("sessionEnd")
    return f"{kind}, completed"


def _replay(player: Player, *, offline: bool) -> str:
    """It starts again after it was complete: the numbers change once more."""
    player.ts += player.rng.randrange(1000, 5000)
    player.playhead = 0
    player.play()
    player.watch(player.rng.randrange(1500, 30_000))
    ending = player.rng.choice(("sessionComplete", "sessionEnd", "" if not offline else "sessionEnd"))
    if ending:
        player.say(ending)
    return f"replayed, {ending or 'abandoned'}"


def _stand_still(player: Player, still_seconds: float) -> None:
    """Paused until the playhead has not moved for too long, and pinging on.

    It plays a little before: whether a playhead that comes back from an ad has moved is nowhere said.
    """
    player.watch(1500)
    player.say("pauseStart")
    step = max(1000, round(still_seconds * 1000 / 20))
    for _ in range(24):
        player.ts += step
        player.say("ping")
