"""Structured events from a Python step. Outside of a run every call does nothing, and everything is allowed."""

import json
import os

_EVENTS_FD = int(os.environ.get("CONDUCTOR_EVENTS_FD", "0"))
_REPLIES_FD = int(os.environ.get("CONDUCTOR_REPLIES_FD", "0"))
_questions = 0


def step_event(kind, body=None, id=None):
    """Reports something: step_event("progress", {"current": 1, "total": 3})."""
    if _EVENTS_FD:
        event = {"kind": kind, "body": body or {}}
        if id is not None:
            event["id"] = id
        os.write(_EVENTS_FD, (json.dumps(event) + "\n").encode())


def authorize(capability, target):
    """Asks before doing something; returns {"ok": True} or {"ok": False, "error": {...}}. Blocks until answered."""
    global _questions
    if not _EVENTS_FD:
        return {"ok": True}
    _questions += 1
    question = f"{os.getpid()}-{_questions}"
    step_event("authorize", {"capability": capability, "target": target}, question)
    while True:
        reply = json.loads(_read_line())
        if reply["id"] == question:
            return reply


def _read_line():
    """One byte at a time: what follows the line belongs to the next question."""
    line = bytearray()
    while (byte := os.read(_REPLIES_FD, 1)) != b"\n":
        if not byte:
            raise EOFError("the runner has closed the replies")
        line += byte
    return bytes(line)
