import type { TestContext } from 'node:test';
import { eventWith } from './events.ts';
import { RawConnection, requestText } from './raw-http.ts';
import type { TestServer } from './server.ts';

/** Far more than the kernel buffers for a connection that nobody reads. */
const EVENTS = 16;
const EVENT_BYTES = 1_000_000;

export const STALLED_COUNT = EVENTS;

/** Fills the store, and starts a reader that asks for everything and stops reading as soon as it arrives. */
export async function stallReader(t: TestContext, server: TestServer): Promise<RawConnection> {
  const message = 'x'.repeat(EVENT_BYTES);
  for (let i = 0; i < EVENTS; i++)
    await server.publish(eventWith({ event_id: `large-${i}`, payload: { message } }));
  const connection = await RawConnection.open(t, server.url);
  connection.send(requestText('GET /events'));
  await connection.received('HTTP/1.1 200 OK\r\n');
  connection.pause();
  return connection;
}
