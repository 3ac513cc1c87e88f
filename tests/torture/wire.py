"""Requests to the server under test, and what can come of them.

A request ends in one of four ways: an answer (Reply), a refusal by the server (Refused), or one of two breaks of the connection. The
difference between those matters to the oracle: what was never sent (NotSent) has not happened, what broke off later (Broken) may have.
"""
import dataclasses
import http.client
import json
import re

TIMEOUT_S = 120  # nothing of this takes so long, on however slow a machine: it hangs

ANTHROPIC_OVERLOADED = 529  # where the other protocols say 503

# Codes of Engram's errors in streams, as the statuses that they would have had.
STATUS_OF_CODE = {"invalid_argument": 400, "not_found": 404, "already_exists": 409, "incompatible": 409, "over_budget": 507,
                  "too_long": 400, "locked": 503, "cancelled": 503, "unsupported": 501}

# The same for errors of a response that had begun.
STATUS_OF_RESPONSE = {"invalid_value": 400, "invalid_prompt": 400, "context_length_exceeded": 400, "not_found": 404,
                      "model_not_found": 404, "conflict": 409, "rate_limit_exceeded": 429, "unsupported": 501,
                      "server_is_overloaded": 503, "insufficient_quota": 507}


class NotSent(Exception):
    """The server couldn't be reached: the request has not happened."""


class Broken(Exception):
    """The connection ended before the answer did: the request may have happened."""


class Hung(Exception):
    """No byte of an answer for TIMEOUT_S."""


class Refused(Exception):
    """The server said no."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text[:300]}")
        self.status, self.text = status, text


class Failed(Refused):
    """Work that was taken, and came to nothing: what it was about may have happened."""

    def __init__(self, text):
        super().__init__("failed", text)


@dataclasses.dataclass
class Reply:
    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


def begin(port, method, path, body=None, headers=()):
    """Sends a request; returns the connection and its response, whose body hasn't been read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.connect()
    except OSError as error:
        raise NotSent(str(error)) from error
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    try:
        connection.request(method, path, body, {"content-type": "application/json", **dict(headers)})
        return connection, connection.getresponse()
    except TimeoutError as error:
        connection.close()
        raise Hung(f"{method} {path}") from error
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise Broken(f"{method} {path}: {error!r}") from error


def read(connection, response):
    try:
        return Reply(503 if response.status == ANTHROPIC_OVERLOADED else response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    except TimeoutError as error:
        raise Hung("in the middle of an answer") from error
    except (OSError, http.client.HTTPException) as error:
        raise Broken(repr(error)) from error
    finally:
        connection.close()


def ask(port, method, path, body=None, headers=()):
    """The whole answer, whatever its status."""
    return read(*begin(port, method, path, body, headers))


def done(port, method, path, body=None, headers=()):
    """The whole answer; Refused when its status says no."""
    reply = ask(port, method, path, body, headers)
    if reply.status >= 300:
        raise Refused(reply.status, reply.body.decode(errors="replace"))
    return reply


class Stream:
    """The events of an answer that comes as a stream: (name, data) pairs. close() in the middle is a client that goes away."""

    def __init__(self, port, path, body, headers=()):
        self.connection, self.response = begin(port, "POST", path, {**body, "stream": True}, headers)
        if self.response.status >= 300:
            reply = read(self.connection, self.response)
            raise Refused(reply.status, reply.body.decode(errors="replace"))
        self.headers = {name.lower(): value for name, value in self.response.getheaders()}

    def __iter__(self):
        name, data = "message", []
        while True:
            try:
                line = self.response.readline().decode()
            except TimeoutError as error:
                raise Hung("in the middle of a stream") from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise Broken(repr(error)) from error
            if not line:
                return
            line = line.rstrip("\r\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif not line and data:
                yield name, "\n".join(data)
                name, data = "message", []

    def close(self):
        self.response.close()
        self.connection.close()


def rpc_result(reply):
    """The result of a JSON-RPC call, whether its response came alone or as the last event of a stream."""
    texts = [reply.body.decode()]
    if reply.headers.get("content-type", "").startswith("text/event-stream"):
        texts = [line.removeprefix("data: ") for line in texts[0].splitlines() if line.startswith("data: ")]
    responses = [message for message in map(json.loads, texts) if "id" in message]
    if not responses:
        raise Broken("the stream ended without a response")
    if "error" in responses[-1]:
        raise Refused(500, json.dumps(responses[-1]["error"]))
    return responses[-1]["result"]


def metrics(text):
    """Prometheus' text as {name: {labels: value}}."""
    found = {}
    for name, labels, value in re.findall(r"^([a-z_]+)(\{[^}]*\})? ([-+0-9.eE]+)", text, re.MULTILINE):
        found.setdefault(name, {})[labels.strip("{}")] = float(value)
    return found
