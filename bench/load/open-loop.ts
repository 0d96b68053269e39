import { type LoadResult, type Told, addTold, openAll } from './closed-loop.ts';
import type { Answer, Connection } from '../../lab/connection.ts';
import type { Requests } from './requests.ts';

/** Enough that a request has to wait for a free one only if the server stalls for longer than this many intervals. */
const CONNECTIONS = 64;

/** Gets each answer, and when its request was due, in milliseconds of `performance.now`. */
export type Answered = (answer: Answer, dueMs: number) => void;

/**
 * Sends requests at fixed times, `perSecond` of them, regardless of answers. A latency counts from when the request was
 * due, so a stall of the server shows in every request that it delayed.
 */
export async function publishOnSchedule(
  port: number,
  { wire }: Requests,
  perSecond: number,
  answered: Answered = () => {},
): Promise<LoadResult> {
  const latenciesMs = new Float64Array(wire.length);
  const told: Told = { events: 0, accepted: 0, duplicates: 0, conflicts: 0 };
  const schedule = { perSecond, next: (place: number) => wire[place] ?? null };
  const seconds = await sendOnSchedule(port, schedule, (answer, { place, dueMs, tookMs }) => {
    latenciesMs[place] = tookMs;
    addTold(told, answer);
    answered(answer, dueMs);
  });
  return { seconds, latenciesMs, told };
}

/** Which requests are sent when. */
export interface Schedule {
  readonly perSecond: number;
  /** The request of this place, asked for when it is due; null if there is none any more. */
  next(place: number): Uint8Array | null;
}

/** The time of an answer, counted from when its request was due. */
export interface Timed {
  readonly place: number;
  /** In milliseconds of `performance.now`. */
  readonly dueMs: number;
  readonly tookMs: number;
}

/** Sends the requests of the schedule; returns how many seconds it took until all were answered. */
export async function sendOnSchedule(
  port: number,
  schedule: Schedule,
  answered: (answer: Answer, time: Timed) => void,
): Promise<number> {
  const idle = await openAll(port, CONNECTIONS);
  const all = [...idle];
  const intervalMs = 1000 / schedule.perSecond;
  const startMs = performance.now();
  const send = async (connection: Connection, place: number, request: Uint8Array): Promise<void> => {
    const answer = await connection.request(request);
    const dueMs = startMs + place * intervalMs;
    answered(answer, { place, dueMs, tookMs: performance.now() - dueMs });
    idle.push(connection);
  };
  try {
    await new Promise<void>((resolve, reject) => {
      let sent = 0;
      let done = 0;
      let isOver = false;
      let failed = false;
      // Spins, because a timer's resolution of a millisecond is too coarse for what is measured.
      const tick = (): void => {
        if (failed) return;
        const nowMs = performance.now();
        while (startMs + sent * intervalMs <= nowMs && idle.length > 0) {
          const request = isOver ? null : schedule.next(sent);
          if (request === null) {
            isOver = true;
            break;
          }
          // The one that has rested longest, so that none rests until the server gives it up.
          send(idle.shift()!, sent++, request).then(
            () => (done += 1),
            (error: unknown) => {
              failed = true;
              reject(error instanceof Error ? error : new Error(String(error)));
            },
          );
        }
        if (isOver && done === sent) resolve();
        else setImmediate(tick);
      };
      tick();
    });
    return (performance.now() - startMs) / 1000;
  } finally {
    for (const connection of all) connection.close();
  }
}
