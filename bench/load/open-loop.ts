import { type LoadResult, type Told, addTold, openAll } from './closed-loop.ts';
import type { Connection } from '../../lab/connection.ts';
import type { Requests } from './requests.ts';

/** Enough that a request has to wait for a free one only if the server stalls for longer than this many intervals. */
const CONNECTIONS = 64;

/**
 * Sends requests at fixed times, `perSecond` of them, regardless of answers. A latency counts from when the request was
 * due, so a stall of the server shows in every request that it delayed.
 */
export async function publishOnSchedule(
  port: number,
  { wire }: Requests,
  perSecond: number,
): Promise<LoadResult> {
  const latenciesMs = new Float64Array(wire.length);
  const told: Told = { events: 0, accepted: 0, duplicates: 0, conflicts: 0 };
  const idle = await openAll(port, CONNECTIONS);
  const all = [...idle];
  const intervalMs = 1000 / perSecond;
  const startMs = performance.now();
  const send = async (connection: Connection, place: number): Promise<void> => {
    const answer = await connection.request(wire[place]!);
    latenciesMs[place] = performance.now() - (startMs + place * intervalMs);
    addTold(told, answer);
    idle.push(connection);
  };
  try {
    await new Promise<void>((resolve, reject) => {
      let next = 0;
      let answered = 0;
      let failed = false;
      // Spins, because a timer's resolution of a millisecond is too coarse for what is measured.
      const tick = (): void => {
        if (failed) return;
        const nowMs = performance.now();
        while (next < wire.length && startMs + next * intervalMs <= nowMs && idle.length > 0) {
          send(idle.pop()!, next++).then(
            () => (answered += 1),
            (error: unknown) => {
              failed = true;
              reject(error instanceof Error ? error : new Error(String(error)));
            },
          );
        }
        if (answered === wire.length) resolve();
        else setImmediate(tick);
      };
      tick();
    });
    return { seconds: (performance.now() - startMs) / 1000, latenciesMs, told };
  } finally {
    for (const connection of all) connection.close();
  }
}
