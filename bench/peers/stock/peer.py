"""The recorder of the `eventsourcing` library as it comes: WIDTH threads, each appends one event.

To a new originator, again and again. `python peer.py DSN WIDTH SECONDS` prints one line of JSON.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

WARM = 0.5  # seconds
STATE = json.dumps({"note": "x" * 389}, separators=(",", ":")).encode()


def write(recorder: PostgresApplicationRecorder, until: float) -> int:
    done = 0
    while time.perf_counter() < until:
        recorder.insert_events([StoredEvent(uuid4(), 1, "Noted", STATE)])
        done += 1
    return done


def append(recorder: PostgresApplicationRecorder, width: int, seconds: float) -> int:
    until = time.perf_counter() + seconds
    with ThreadPoolExecutor(width) as threads:
        return sum(threads.map(write, [recorder] * width, [until] * width))


def main() -> None:
    dsn, width, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    at = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    datastore = PostgresDatastore(
        at["dbname"], at["host"], at["port"], at["user"], at["password"], pool_size=width
    )
    recorder = PostgresApplicationRecorder(datastore)
    recorder.create_table()
    append(recorder, width, WARM)
    used, began = time.process_time(), time.perf_counter()
    commands = append(recorder, width, seconds)
    took, cpu = time.perf_counter() - began, time.process_time() - used
    datastore.close()
    print(json.dumps({"commands": commands, "seconds": took, "cpu_seconds": cpu}))


if __name__ == "__main__":
    main()
