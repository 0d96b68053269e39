import { openAll } from './closed-loop.ts';
import { type Answer, type Connection, requestBytes } from '../../lab/connection.ts';

/** How many workers share the group; each acknowledges everything that it pulled before it pulls again. */
const WORKERS = 16;

/** The measures of draining a group. */
export interface Drained {
  /** From the first pull to the last acknowledgement's answer. */
  readonly seconds: number;
  /** One time for each pull that returned events, and for each acknowledgement. */
  readonly pullMs: readonly number[];
  readonly acknowledgeMs: readonly number[];
}

/** Drains offsets 1 to `events`. Rejects if one is missing, comes twice, or is not a first delivery. */
export async function drainGroup(
  port: number,
  name: string,
  events: number,
  pullMax: number,
): Promise<Drained> {
  const isDone = new Uint8Array(events + 1);
  const pull = requestBytes(`POST /subscriptions/${name}/pull`, `{"max":${pullMax},"wait_ms":1000}`);
  const pullMs: number[] = [];
  const acknowledgeMs: number[] = [];
  let left = events;
  const worker = async (connection: Connection): Promise<void> => {
    while (left > 0) {
      const pulledMs = performance.now();
      const leaseIds = leasesIn(await connection.request(pull), isDone);
      if (leaseIds.length === 0) continue;
      const gotMs = performance.now();
      pullMs.push(gotMs - pulledMs);
      const body = `{"lease_ids":["${leaseIds.join('","')}"]}`;
      const { status, body: answer } = await connection.request(
        requestBytes(`POST /subscriptions/${name}/ack`, body),
      );
      acknowledgeMs.push(performance.now() - gotMs);
      if (status !== 200 || answer !== `{"done":${leaseIds.length}}`) {
        throw new Error(`an acknowledgement was answered with ${status}: ${answer.slice(0, 500)}`);
      }
      left -= leaseIds.length;
    }
  };
  const connections = await openAll(port, WORKERS);
  try {
    const startMs = performance.now();
    await Promise.all(connections.map(worker));
    const seconds = (performance.now() - startMs) / 1000;
    if (left !== 0) throw new Error(`${-left} events more than ${events} were delivered`);
    return { seconds, pullMs, acknowledgeMs };
  } finally {
    for (const connection of connections) connection.close();
  }
}

const DELIVERED = /"offset":(\d+),"received_at":"[^"]+","delivery":(\d+),"lease_id":"([^"]+)"\}/g;

function leasesIn({ status, body }: Answer, isDone: Uint8Array): string[] {
  if (status !== 200) throw new Error(`a pull was answered with ${status}: ${body.slice(0, 500)}`);
  const leaseIds: string[] = [];
  for (const [, offset, delivery, leaseId] of body.matchAll(DELIVERED)) {
    if (isDone[Number(offset)] !== 0 || delivery !== '1') {
      throw new Error(
        `offset ${offset} came as delivery ${delivery}, and had come before or was not asked for`,
      );
    }
    isDone[Number(offset)] = 1;
    leaseIds.push(leaseId!);
  }
  if (!body.startsWith(`{"count":${leaseIds.length},`)) throw new Error(`an answer of ${body.slice(0, 50)} held ${leaseIds.length} events`); // prettier-ignore
  return leaseIds;
}
