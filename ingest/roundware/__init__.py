"""The second dialect at the same door: the Roundware API v2, below `/api/2/`.

routes -> bodies, fields -> sessions | events | listens | streams | users -> desk -> the log
                                                                              |
GET answers <- folded <- media.roundware.v1 <- the lanes  <-------------------+
"""
