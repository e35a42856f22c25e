"""Why a cluster does not let us in, in a sentence: aiokafka itself only says that it could not connect."""

import asyncio
import ssl
from typing import Any, Final, NamedTuple

from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

LOOK_SECONDS: Final = 3.0
"""In all: whoever could not open a client is about to try again."""

_OPENSSL_OTHER_HOST: Final = frozenset((62, 64))  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


class Refusal(NamedTuple):
    """What is amiss. `by_a_node`: the cluster let us in and named its nodes; one of them may just have died."""

    reason: str
    by_a_node: bool = False


async def why(bootstrap: str, arguments: dict[str, Any]) -> Refusal | None:
    """Connect to each address, and to each node that the cluster names; what the first one says that fails.

    `arguments`: how to speak to it, as aiokafka's clients take them. None: nothing is amiss now.
    """
    said = Refusal("it does not answer")
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            hosts = collect_hosts(bootstrap, randomize=False)
            for number, (host, port, _) in enumerate(hosts):
                nodes, reason = await _asked(host, port, arguments)
                if nodes is not None:
                    said = Refusal("a node of it does not answer", by_a_node=True)
                    return await _of_nodes(nodes, arguments)
                if number == 0:
                    said = Refusal(reason if len(hosts) == 1 else f"{host}:{port}: {reason}")
    except TimeoutError:
        pass
    return said


async def _of_nodes(nodes: list[tuple[str, int]], arguments: dict[str, Any]) -> Refusal | None:
    for host, port in nodes:
        reached, reason = await _asked(host, port, arguments)
        if reached is None:
            said = f"it names a node {host}:{port} (its advertised.listeners), and there: {reason}"
            return Refusal(said, by_a_node=True)
    return None


async def _asked(host: str, port: int, arguments: dict[str, Any]) -> tuple[list[tuple[str, int]] | None, str]:
    """The nodes that an address names, or None and why it does not."""
    connection: AIOKafkaConnection | None = None
    try:
        connection = await create_conn(host, port, request_timeout_ms=round(LOOK_SECONDS * 1000), **arguments)
        metadata = await connection.send(MetadataRequest([]))
    except Exception as failure:  # noqa: BLE001  whatever it is, it is told
        return None, _in_words(failure, arguments["security_protocol"], arguments["sasl_mechanism"])
    finally:
        if connection is not None:
            connection.close()
    return [(node_host, node_port) for _, node_host, node_port, *_ in metadata.brokers], ""


def _in_words(failure: BaseException, protocol: str, mechanism: str) -> str:
    while isinstance(failure, KafkaConnectionError) and failure.__cause__ is not None:
        failure = failure.__cause__
    match failure:
        case SaslAuthenticationFailed():
            return "it refuses our name or password: see MEDIABEAT_KAFKA_SASL_USERNAME, _PASSWORD and _MECHANISM"
        case UnsupportedSaslMechanismError():
            return f"it does not take {mechanism}: set MEDIABEAT_KAFKA_SASL_MECHANISM to one of its own"
        case IllegalSaslStateError():
            return "it wants no name and password there: set another port, or another MEDIABEAT_KAFKA_SECURITY_PROTOCOL"
        case ssl.SSLCertVerificationError() if failure.verify_code in _OPENSSL_OTHER_HOST:
            return f"it shows the certificate of another host ({failure.verify_message}): use a name that it holds"
        case ssl.SSLCertVerificationError():
            return (
                f"it shows a certificate that we do not trust ({failure.verify_message}): "
                "set MEDIABEAT_KAFKA_SSL_CAFILE to that of its authority"
            )
        case ssl.SSLError() if "ALERT" in str(failure.reason):
            return (
                f"it ended the TLS handshake ({failure.reason}): does it want a certificate of ours "
                "(MEDIABEAT_KAFKA_SSL_CERTFILE and _KEYFILE)?"
            )
        case ConnectionRefusedError():
            return "it takes no connection"
        case TimeoutError():
            return "it does not answer"
        case ssl.SSLError() | ConnectionError() | KafkaConnectionError() | EOFError():
            return (
                f"it closes the connection: does it speak {protocol} (MEDIABEAT_KAFKA_SECURITY_PROTOCOL) at that port?"
            )
    return f"it cannot be reached ({failure})"
