import { type Answer, Connection } from '../../lab/connection.ts';
import type { Requests } from './requests.ts';

/** Publishers that send side by side, each its next request as soon as its answer came. */
export const PUBLISHERS = 16;

/** What a load did and was told. */
export interface LoadResult {
  /** From the first byte sent to the last answer. */
  readonly seconds: number;
  /** Of each answer, in the order of the requests. */
  readonly latenciesMs: Float64Array;
  /** The sums of all answers. */
  readonly told: Told;
}

export interface Told {
  events: number;
  accepted: number;
  duplicates: number;
  conflicts: number;
}

/** Sends all requests, each once. Rejects on the first that is not answered with 200. */
export async function publishAll(
  port: number,
  { wire }: Requests,
  answered: (requests: number) => void = () => {},
): Promise<LoadResult> {
  const latenciesMs = new Float64Array(wire.length);
  const told: Told = { events: 0, accepted: 0, duplicates: 0, conflicts: 0 };
  const connections = await openAll(port, Math.min(PUBLISHERS, wire.length));
  let next = 0;
  const publisher = async (connection: Connection): Promise<void> => {
    while (next < wire.length) {
      const place = next++;
      const sentMs = performance.now();
      const answer = await connection.request(wire[place]!);
      latenciesMs[place] = performance.now() - sentMs;
      addTold(told, answer);
      answered(next);
    }
  };
  try {
    const startMs = performance.now();
    await Promise.all(connections.map(publisher));
    return { seconds: (performance.now() - startMs) / 1000, latenciesMs, told };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Open connections; where one fails, none stays open. */
export async function openAll(port: number, count: number): Promise<Connection[]> {
  const opened = await Promise.allSettled(Array.from({ length: count }, () => Connection.open(port)));
  const connections = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = opened.find((one) => one.status === 'rejected');
  if (failed === undefined) return connections;
  for (const connection of connections) connection.close();
  throw failed.reason;
}

/** Adds what a publish was told to the sums. */
export function addTold(told: Told, { status, body }: Answer): void {
  if (status !== 200) throw new Error(`a publish was answered with ${status}: ${body.slice(0, 500)}`);
  const answer = JSON.parse(body) as Record<string, number>;
  told.events += answer['events_count']!;
  told.accepted += answer['accepted']!;
  told.duplicates += answer['duplicates']!;
  told.conflicts += answer['conflicts']!;
}
