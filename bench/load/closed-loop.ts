import { type Answer, Connection } from '../../lab/connection.ts';
import type { Requests } from './requests.ts';

/** How many publishers send side by side, each its next request as soon as it has an answer. */
export const PUBLISHERS = 16;

/** What a load did, and what the answers said. */
export interface LoadResult {
  /** From the first byte sent to the last answer. */
  readonly seconds: number;
  /** One latency per request, in order. */
  readonly latenciesMs: Float64Array;
  /** The counts of all answers, added up. */
  readonly told: Told;
  /** How many of the answers came from each port. */
  readonly answersOf?: readonly number[];
}

export interface Told {
  events: number;
  accepted: number;
  duplicates: number;
  conflicts: number;
}

/**
 * Sends every request once; with several ports the publishers are spread over them. Rejects at the first answer that is not
 * 200.
 */
export async function publishAll(
  ports: readonly number[],
  { wire }: Requests,
  answered: (requests: number) => void = () => {},
): Promise<LoadResult> {
  const told: Told = { events: 0, accepted: 0, duplicates: 0, conflicts: 0 };
  const answersOf = ports.map(() => 0);
  const perPort = Math.ceil(Math.min(PUBLISHERS, wire.length) / ports.length);
  const opened = await Promise.all(ports.map((port) => openAll(port, perPort)));
  const connections = opened.flatMap((some, i) => some.map((connection) => ({ connection, i })));
  try {
    const times = await closedLoop(connections, wire.length, async ({ connection, i }, place) => {
      const answer = await connection.request(wire[place]!);
      // Its time is taken before the answer is read.
      return () => {
        addTold(told, answer);
        answersOf[i] = answersOf[i]! + 1;
        answered(place + 1);
      };
    });
    return { ...times, told, answersOf };
  } finally {
    for (const { connection } of connections) connection.close();
  }
}

/** Each connection sends its next request as soon as it has an answer; `send` returns what is to be done with that. */
export async function closedLoop<C>(
  connections: readonly C[],
  requests: number,
  send: (connection: C, place: number) => Promise<() => void>,
): Promise<Omit<LoadResult, 'told'>> {
  const latenciesMs = new Float64Array(requests);
  let next = 0;
  const publisher = async (connection: C): Promise<void> => {
    while (next < requests) {
      const place = next++;
      const sentMs = performance.now();
      const done = await send(connection, place);
      latenciesMs[place] = performance.now() - sentMs;
      done();
    }
  };
  const startMs = performance.now();
  await Promise.all(connections.map(publisher));
  return { seconds: (performance.now() - startMs) / 1000, latenciesMs };
}

/** Opens connections; if one fails, none stays open. */
export async function openAll(port: number, count: number): Promise<Connection[]> {
  const opened = await Promise.allSettled(Array.from({ length: count }, () => Connection.open(port)));
  const connections = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = opened.find((one) => one.status === 'rejected');
  if (failed === undefined) return connections;
  for (const connection of connections) connection.close();
  throw failed.reason;
}

/** Adds the counts of one answer. */
export function addTold(told: Told, { status, body }: Answer): void {
  if (status !== 200) throw new Error(`a publish was answered with ${status}: ${body.slice(0, 500)}`);
  const answer = JSON.parse(body) as Record<string, number>;
  told.events += answer['events_count']!;
  told.accepted += answer['accepted']!;
  told.duplicates += answer['duplicates']!;
  told.conflicts += answer['conflicts']!;
}
