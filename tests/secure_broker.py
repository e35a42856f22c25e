"""A real broker behind TLS and passwords: one node, a listener for each way to be spoken to, an authority of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.kafka_broker import free_ports, private_cluster

PLAIN_USER, PLAIN_PASSWORD = "plain-user", "pa55-of-the-plain-user"
SCRAM_USER, SCRAM_PASSWORD = "scram-user", "pa55-of-the-scram-user"
KEY_PASSWORD = "pa55-of-our-key"
LISTENERS = ("SSL", "SASL_SSL", "SASL_PLAINTEXT")
HOST = "localhost"
"""The only name that the broker's certificate holds."""


@dataclass(frozen=True)
class SecureBroker:
    """`bootstrap` is open to all. At SSL a client shows a certificate; at SASL_* PLAIN and SCRAM-SHA-512 are taken."""

    bootstrap: str
    ports: dict[str, int]
    home: Path

    @property
    def cafile(self) -> Path:
        return self.home / "ca.pem"

    @property
    def strange_cafile(self) -> Path:
        """Of an authority that has signed nothing here."""
        return self.home / "strange-ca.pem"

    def environment(self, listener: str, mechanism: str = "PLAIN") -> dict[str, str]:
        """The settings, by the names of their variables, that let a client in at this listener."""
        values = {"BOOTSTRAP": f"{HOST}:{self.ports[listener]}", "KAFKA_SECURITY_PROTOCOL": listener}
        if "SSL" in listener.split("_"):
            values["KAFKA_SSL_CAFILE"] = str(self.cafile)
        if listener == "SSL":
            values["KAFKA_SSL_CERTFILE"] = str(self.home / "client.pem")
            values["KAFKA_SSL_KEYFILE"] = str(self.home / "client.key")
            values["KAFKA_SSL_PASSWORD"] = KEY_PASSWORD
        else:
            values["KAFKA_SASL_MECHANISM"] = mechanism
            values["KAFKA_SASL_USERNAME"] = PLAIN_USER if mechanism == "PLAIN" else SCRAM_USER
            values["KAFKA_SASL_PASSWORD"] = PLAIN_PASSWORD if mechanism == "PLAIN" else SCRAM_PASSWORD
        return values


@contextmanager
def secure_broker(home: Path) -> Iterator[SecureBroker]:
    _write_certificates(home)
    client, controller, *others = free_ports(2 + len(LISTENERS))
    ports = dict(zip(LISTENERS, others, strict=True))
    settings = _settings(home, {"PLAINTEXT": client, **ports}, controller)
    scram = f"SCRAM-SHA-512=[name={SCRAM_USER},password={SCRAM_PASSWORD}]"
    with private_cluster(ports=[client, controller], settings=settings, formatting=("--add-scram", scram)) as cluster:
        yield SecureBroker(cluster.bootstrap, ports, home)


def _settings(home: Path, ports: dict[str, int], controller: int) -> dict[str, str]:
    listeners = [f"{name}://127.0.0.1:{port}" for name, port in ports.items()]
    named = [f"{name}://{HOST}:{port}" for name, port in ports.items() if name != "PLAINTEXT"]
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    settings = {
        "listeners": ",".join([*listeners, f"CONTROLLER://127.0.0.1:{controller}"]),
        "advertised.listeners": ",".join([listeners[0], *named]),
        "listener.security.protocol.map": ",".join(f"{name}:{name}" for name in ports) + ",CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(home / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(home / "ca.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
    }
    for listener in ("sasl_ssl", "sasl_plaintext"):
        of_plain = f'{plain} user_{PLAIN_USER}="{PLAIN_PASSWORD}";'
        settings[f"listener.name.{listener}.plain.sasl.jaas.config"] = of_plain
        settings[f"listener.name.{listener}.scram-sha-512.sasl.jaas.config"] = scram
    return settings


def _write_certificates(home: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(home / "ca.pem")
    trustme.CA().cert_pem.write_to_path(home / "strange-ca.pem")
    broker, client = authority.issue_cert(HOST), authority.issue_cert("client.example")
    # A broker reads its key from the file of its certificate, and only as PKCS 8.
    chain = b"".join(pem.bytes() for pem in broker.cert_chain_pems)
    (home / "broker.pem").write_bytes(_pkcs8(broker, NoEncryption()) + chain)
    (home / "client.pem").write_bytes(b"".join(pem.bytes() for pem in client.cert_chain_pems))
    (home / "client.key").write_bytes(_pkcs8(client, BestAvailableEncryption(KEY_PASSWORD.encode())))


def _pkcs8(issued: trustme.LeafCert, encryption: KeySerializationEncryption) -> bytes:
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
