"""How schemathesis writes the bodies that are no JSON: the texts of SDP as they were generated."""

import schemathesis


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def plain(ctx, value):
    return str(value).encode("utf-8", "surrogatepass")
