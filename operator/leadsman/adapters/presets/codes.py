"""Which answers count as failed, where a convention tells it by a status code.

HTTP: from 500 on. gRPC: the six statuses that are the server's fault (UNKNOWN, DEADLINE_EXCEEDED,
UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS), the same that OpenTelemetry's semantic conventions
for gRPC servers call errors (semantic-conventions, docs/rpc/grpc.md); a NOT_FOUND or an
INVALID_ARGUMENT is the caller's. Each convention spells the statuses its own way.
"""

from __future__ import annotations

HTTP_FAILED = "5.."
GRPC_FAILED_NUMBERS = "2|4|12|13|14|15"
GRPC_FAILED_NAMES = "UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"
GRPC_FAILED_GO = "Unknown|DeadlineExceeded|Unimplemented|Internal|Unavailable|DataLoss"
