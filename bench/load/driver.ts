import { createProgress } from '@chronicleweaver/terminal';
import type { ServerProcess } from '../process/server-process.ts';
import { type LoadResult, type Told, addTold, publishAll } from './closed-loop.ts';
import { get } from '../../lab/connection.ts';
import { type Measure, measureLoad } from './measure.ts';
import { type Answered, type Timed, publishOnSchedule, sendOnSchedule } from './open-loop.ts';
import { Plan, type Segment } from './plan.ts';
import { type Requests, publishRequests } from './requests.ts';

/** The server's counts do not match what was sent: the worst that a run can find. */
class CountMismatch extends Error {}

/** What is driven: a server, or several that share a log. */
export interface Target {
  readonly ports: readonly number[];
  cpuSeconds(): number;
  whileHeld<T>(work: () => T | Promise<T>): Promise<T>;
}

/** Publishes at fixed times: so many a second, each of so many events. */
export interface Steady {
  readonly perSecond: number;
  readonly batch: number;
  /** Whether ids are forgotten after a time: then a repeat of an old event may be accepted. */
  readonly forgets?: boolean;
}

const FILL_BATCH = 1000;

/** How many keys' bodies are in memory at once. */
const FILL_PART_KEYS = 100_000;

/**
 * Sends a server what the plan says and checks its counts: after each part the sums of the answers must match the plan,
 * and `checkBooks` compares `GET /stats` with everything sent since the file was made.
 */
export class Driver<S extends Target = ServerProcess> {
  server: S;
  readonly #plan: Plan;
  readonly #eventText: (k: number) => string;
  #sent = 0;
  #keys = 0;

  constructor(server: S, seed: number, eventText: (k: number) => string) {
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
  prepare(
    segments: (plan: Plan) => readonly (readonly [Segment, number])[],
    target?: string,
  ): Promise<Requests[]> {
    return this.server.whileHeld(() =>
      segments(this.#plan).map(([segment, batch]) =>
        publishRequests(segment, batch, this.#eventText, target),
      ),
    );
  }

  /** Sends prepared requests as fast as answers come. */
  publish(requests: Requests, answered?: (requests: number) => void): Promise<Measure> {
    return this.#measured(requests, () => publishAll(this.server.ports, requests, answered));
  }

  /** Sends prepared requests at fixed times. */
  publishOnSchedule(requests: Requests, perSecond: number, answered?: Answered): Promise<Measure> {
    return this.#measured(requests, () =>
      publishOnSchedule(this.server.ports[0]!, requests, perSecond, answered),
    );
  }

  /** Publishes new batches at fixed times until the signal fires and all are answered. */
  async publishSteadily(
    { perSecond, batch, forgets = false }: Steady,
    signal: AbortSignal,
    answered: (time: Timed) => void,
  ): Promise<void> {
    const told: Told = { events: 0, accepted: 0, duplicates: 0, conflicts: 0 };
    const sent = { events: 0, fresh: 0 };
    const next = (): Uint8Array | null => {
      if (signal.aborted) return null;
      const segment = this.#plan.next(batch);
      sent.events += batch;
      sent.fresh += segment.fresh;
      return publishRequests(segment, batch, this.#eventText).wire[0]!;
    };
    await sendOnSchedule(this.server.ports[0]!, { perSecond, next }, (answer, time) => {
      addTold(told, answer);
      answered(time);
    });
    const accepted = forgets ? Math.max(sent.fresh, told.accepted) : sent.fresh;
    this.#took({ events: sent.events, fresh: accepted }, told);
  }

  /** Throws if `GET /stats` does not match what was sent. */
  async checkBooks(): Promise<void> {
    const { status, body } = await get(this.server.ports[0]!, '/stats');
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
    this.#took({ events, fresh: segment.fresh }, told);
    return measure;
  }

  #took({ events, fresh }: { readonly events: number; readonly fresh: number }, told: Told): void {
    this.#sent += events;
    this.#keys += fresh;
    const planned = { events, accepted: fresh, duplicates: events - fresh, conflicts: 0 };
    expectCounts('the answers', { ...told }, planned);
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
