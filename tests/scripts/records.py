"""The requests that the application has recorded, by the number in their path."""

import json
import re
import time

# Each request of a case has its number in the target.
NUMBER = re.compile(r"/m/(\d{4})/")

HIGH = re.compile(
    r"illegal request line: bytearray\(b'[A-Z]+ ([!-\[\]-~]|\\x[89a-f][0-9a-f])+ HTTP/1.1'\)$"
)
CUT = ("closed within a body", "peer unexpectedly closed", "incomplete")


class Records:
    """The lines of the record of `application.py`."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        self.faults = [line for line in lines if "fault" in line]
        began = [line for line in lines if "began" in line]
        complete = [line for line in lines if "body" in line]
        self.count = len(began)
        # A fault says where h11 stopped. Only requests that aop cut off may be such a fault.
        self.began = by_number(began)
        self.complete = by_number(complete)

    def unclaimed(self):
        """Requests whose target has no number of a case."""
        return self.began.get(None, [])

    def wrong_faults(self):
        """Faults that are not the end of a connection within a request that aop cut off. aop passes
        targets with bytes above 0x7f on, which h11 does not take."""
        return [line for line in self.faults if not is_cut(line) and not HIGH.match(line["fault"])]


def is_cut(line):
    return any(end in line["fault"] for end in CUT)


def by_number(lines):
    found = {}
    for line in lines:
        number = NUMBER.search(line["target"])
        found.setdefault(int(number[1]) if number else None, []).append(line)
    return found


def settled(path, patience=10):
    """The records, once no line was added for a while."""
    before, end = -1, time.monotonic() + patience
    while time.monotonic() < end:
        records = Records(path)
        if records.count + len(records.faults) == before:
            return records
        before = records.count + len(records.faults)
        time.sleep(0.5)
    return Records(path)
