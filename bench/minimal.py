"""The peer of the HTTP bench: the least that an endpoint on FastAPI does which keeps what it took.

It reads JSON, inserts it as one row with psycopg, prepared, and answers with its id. No token, no
idempotency, no decision. `python -m bench.minimal DSN PORT` serves it.
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel


class Taken(BaseModel):
    id: int


def app(dsn: str) -> FastAPI:
    pool = AsyncConnectionPool[AsyncConnection[Any]](
        dsn, kwargs={"autocommit": True}, min_size=8, max_size=8, open=False
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    made = FastAPI(lifespan=lifespan)

    @made.post("/rows", status_code=201)
    async def take(body: dict[str, Any]) -> Taken:
        insert = "INSERT INTO rows (data) VALUES (%s) RETURNING id"
        async with pool.connection() as connection:
            done = await connection.execute(insert, (json.dumps(body),), prepare=True)
            [row] = await done.fetchall()
        return Taken(id=row[0])

    return made


if __name__ == "__main__":
    uvicorn.run(
        app(sys.argv[1]), port=int(sys.argv[2]), loop="uvloop", access_log=False, log_level="error"
    )
