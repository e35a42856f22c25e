"""A Roundware client of a few lines: a token, and the requests that follow it."""

from dataclasses import dataclass
from typing import Any

import orjson

from tests.e2e.running import Answer, Running


@dataclass(slots=True)
class Client:
    process: Running
    token: str

    def send(self, method: str, path: str, document: object = None) -> Answer:
        headers = {"Authorization": f"token {self.token}"} | (
            {} if document is None else {"Content-Type": "application/json"}
        )
        body = None if document is None else orjson.dumps(document)
        return self.process.request(method, "/api/2/" + path, body, headers)

    def told(self, method: str, path: str, document: object = None) -> Any:
        """What was answered, which must be 200 and JSON."""
        answer = self.send(method, path, document)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json"), answer
        return orjson.loads(answer.body)

    def post(self, path: str, **members: object) -> Any:
        return self.told("POST", path, members)

    def session(self, **members: object) -> int:
        return int(self.post("sessions/", project_id=1, client_system="a test", **members)["id"])


def registered(process: Running, device: str) -> Client:
    answer = process.post("/api/2/users/", {"device_id": device, "client_type": "web"})
    assert answer.status == 200, answer
    return Client(process, orjson.loads(answer.body)["token"])
