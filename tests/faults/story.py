"""What the witness has seen, in order, and what in it contradicts itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Step:
    """What is known of one step of one run.

    Attributes:
        ends: what the executions that came to their end have returned.
        acknowledged: what its caller was given last; empty before.
        void: whether it may be executed again: that was asked for, or its run may be pruned.
    """

    ends: list[str] = field(default_factory=list)
    acknowledged: str = ""
    void: bool = False


@dataclass(slots=True)
class Delivery:
    """What was delivered to one wait.

    Attributes:
        sending: what senders have tried.
        sent: what they were told is delivered.
        refused: what they were told is not.
        received: what the run was given.
    """

    sending: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    received: set[str] = field(default_factory=set)


class Story:
    """What has happened so far.

    Attributes:
        faults: what must not be, in words.
        counts: how often each word was said.
        steps: by the key of the run, and by name.
        ids: the id of each run.
        finished: runs that have ended well, for good.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self.steps: defaultdict[str, dict[str, Step]] = defaultdict(dict)
        self.deliveries: defaultdict[str, Delivery] = defaultdict(Delivery)
        self.ids: dict[str, set[str]] = defaultdict(set)
        self.finished: set[str] = set()
        self.finishing: set[str] = set()
        self.opened: set[str] = set()
        self._owners: dict[str, int] = {}
        self._may_end: set[int] = set()  # processes that may be gone

    def tell(self, line: list[Any]) -> None:
        """Take in one line."""
        word, pid, *facts = line
        self.counts[f"{word} {facts[0]}" if word in ("struck", "refused") else word] += 1
        if word in ("exec", "end", "ack"):
            self._step(word, *facts)
        elif word in ("sending", "sent", "not sent", "received"):
            self._deliver(word, *facts)
        elif word in ("open", "closing"):
            self._own(word, pid, *facts)
        elif word == "redo":
            key, name = facts
            self._of(key, name).void = True
        elif word == "finishing":
            (key,) = facts
            self.finishing.add(key)
            if key.startswith("short"):
                for step in self.steps[key].values():
                    step.void = True
        elif word == "finished":
            self.finished.add(facts[0])
        elif word in ("exiting", "killing", "interrupting", "dead"):
            self._may_end.add(facts[0] if facts else pid)
        elif word == "fault":
            self.faults.append(f"process {pid}: {facts[0]}")

    def _of(self, key: str, name: str) -> Step:
        return self.steps[key].setdefault(name, Step())

    def _step(self, word: str, key: str, name: str, token: str) -> None:
        step = self._of(key, name)
        if word == "exec" and step.acknowledged and not step.void:
            self.faults.append(f"{name} of {key} was acknowledged, and is executed again")
        elif word == "end":
            step.ends.append(token)
        elif word == "ack":
            if token not in step.ends:
                self.faults.append(f"{name} of {key} returned {token}, which no body has")
            if step.acknowledged not in ("", token) and not step.void:
                self.faults.append(
                    f"{name} of {key} returned {token}, and {step.acknowledged} before"
                )
            step.acknowledged = token
            step.void = key.startswith("short") and key in self.finishing

    def _own(self, word: str, pid: int, key: str, run_id: str = "") -> None:
        owner = self._owners.get(key)
        if word == "closing":
            if owner == pid:
                del self._owners[key]
            return
        if owner not in (None, pid) and owner not in self._may_end:
            self.faults.append(f"{key} is open in process {owner} and in process {pid}")
        self._owners[key] = pid
        self._may_end.discard(pid)
        self.opened.add(key)
        self.ids[key].add(run_id)
        # Short runs may be pruned, and begin again.
        if len(self.ids[key]) > 1 and not key.startswith("short"):
            self.faults.append(f"{key} has several runs: {sorted(self.ids[key])}")

    def _deliver(self, word: str, key: str, token: str) -> None:
        told = self.deliveries[key]
        {
            "sending": told.sending,
            "sent": told.sent,
            "not sent": told.refused,
            "received": told.received,
        }[word].add(token)
        if len(told.sent) > 1:
            self.faults.append(f"{key} has taken {len(told.sent)} deliveries: {told.sent}")
        if len(told.received) > 1:
            self.faults.append(f"{key} has received {told.received}")
        if wrong := told.received - told.sending:
            self.faults.append(f"{key} has received {wrong}, which nobody has sent")
        if wrong := told.received & told.refused:
            self.faults.append(f"{key} has received {wrong}, whose sender was refused")
        if told.sent and told.received and told.sent != told.received:
            self.faults.append(f"{key} has received {told.received}, and {told.sent} was delivered")
