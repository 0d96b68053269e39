import { createProgress } from '@chronicleweaver/terminal';
import type { ServerProcess } from '../process/server-process.ts';
import { type LoadResult, publishAll } from './closed-loop.ts';
import { get } from '../../lab/connection.ts';
import { type Measure, measureLoad } from './measure.ts';
import { publishOnSchedule } from './open-loop.ts';
import { Plan, type Segment } from './plan.ts';
import { type Requests, publishRequests } from './requests.ts';

/** The server's counts do not match what was sent: the worst that a run can find. */
class CountMismatch extends Error {}

const FILL_BATCH = 1000;

/** How many keys' bodies are in memory at once. */
const FILL_PART_KEYS = 100_000;

/**
 * Sends a server what the plan says and checks its counts: after each part the sums of the answers must match the plan,
 * and `checkBooks` compares `GET /stats` with everything sent since the file was made.
 */
export class Driver {
  server: ServerProcess;
  readonly #plan: Plan;
  readonly #eventText: (k: number) => string;
  #sent = 0;
  #keys = 0;

  constructor(server: ServerProcess, seed: number, eventText: (k: number) => string) {
    this.server = server;
    this.#plan = new Plan(seed);
    this.#eventText = eventText;
  }

  /** Distinct events sent so far: the keys that the server must hold. */
  get keys(): number {
    return this.#keys;
  }

  /** Fills it up to this many keys. */
  async fill(what: string, keys: number): Promise<void> {
    const progress = createProgress({ what, total: keys, unit: 'keys' });
    try {
      while (this.keys < keys) {
        const from = this.keys;
        const upTo = Math.min(keys, from + FILL_PART_KEYS);
        const [requests] = await this.prepare((plan) => [[plan.untilKeys(upTo), FILL_BATCH]]);
        const total = requests!.wire.length;
        await this.publish(requests!, (sent) => progress.advance(from + ((upTo - from) * sent) / total));
      }
      await this.checkBooks();
    } finally {
      progress.stop();
    }
  }

  /** Makes the bodies of the next segments, each with its batch size, while the server is paused. */
  prepare(segments: (plan: Plan) => readonly (readonly [Segment, number])[]): Promise<Requests[]> {
    return this.server.whileHeld(() =>
      segments(this.#plan).map(([segment, batch]) => publishRequests(segment, batch, this.#eventText)),
    );
  }

  /** Sends prepared requests as fast as answers come. */
  publish(requests: Requests, answered?: (requests: number) => void): Promise<Measure> {
    return this.#measured(requests, () => publishAll(this.server.port, requests, answered));
  }

  /** Sends prepared requests at fixed times. */
  publishOnSchedule(requests: Requests, perSecond: number): Promise<Measure> {
    return this.#measured(requests, () => publishOnSchedule(this.server.port, requests, perSecond));
  }

  /** Throws if `GET /stats` does not match what was sent. */
  async checkBooks(): Promise<void> {
    const { status, body } = await get(this.server.port, '/stats');
    if (status !== 200) throw new Error(`GET /stats was answered with ${status}: ${body}`);
    expectCounts('GET /stats', JSON.parse(body) as Record<string, unknown>, {
      received: this.#sent,
      unique_processed: this.keys,
      duplicated_dropped: this.#sent - this.keys,
      conflicts: 0,
    });
  }

  async #measured({ segment }: Requests, load: () => Promise<LoadResult>): Promise<Measure> {
    const events = segment.events.length;
    const { measure, told } = await measureLoad(this.server, events, load);
    this.#sent += events;
    this.#keys += segment.fresh;
    expectCounts(
      'the answers',
      { ...told },
      { events, accepted: segment.fresh, duplicates: events - segment.fresh, conflicts: 0 },
    );
    return measure;
  }
}

function expectCounts(
  where: string,
  seen: Readonly<Record<string, unknown>>,
  planned: Readonly<Record<string, number>>,
): void {
  for (const [name, count] of Object.entries(planned)) {
    if (seen[name] === count) continue;
    throw new CountMismatch(`${where}: ${name} is ${String(seen[name])}, sent were ${count}`);
  }
}
