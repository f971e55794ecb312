// emmett's PostgreSQL event store: WIDTH loops, each appends one event to a new stream again and
// again. `node peer.mjs DSN WIDTH SECONDS` prints one line of JSON.

import { randomUUID } from 'node:crypto';
import { STREAM_DOES_NOT_EXIST } from '@event-driven-io/emmett';
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';
import pg from 'pg';

const [dsn, width, seconds] = process.argv.slice(2);
const WARM = 1; // seconds
const note = 'x'.repeat(389);

const pool = new pg.Pool({ connectionString: dsn, max: Number(width) });
const store = getPostgreSQLEventStore(dsn, { connectionOptions: { pool } });
await store.schema.migrate();

async function append(seconds) {
  const until = performance.now() + seconds * 1000;
  let done = 0;
  const writer = async () => {
    while (performance.now() < until) {
      await store.appendToStream(`note-${randomUUID()}`, [{ type: 'Noted', data: { note } }], {
        expectedStreamVersion: STREAM_DOES_NOT_EXIST,
      });
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(width) }, writer));
  return done;
}

await append(WARM);
const used = process.cpuUsage();
const began = performance.now();
const commands = await append(Number(seconds));
const { user, system } = process.cpuUsage(used);
const took = (performance.now() - began) / 1000;
console.log(JSON.stringify({ commands, seconds: took, cpu_seconds: (user + system) / 1e6 }));
await store.close();
await pool.end();
