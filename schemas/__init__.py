"""The contract both sides know: JSON Schemas, record types, topics, codec."""
