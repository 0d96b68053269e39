import { setTimeout as sleep } from 'node:timers/promises';
import { openAll } from '../load/closed-loop.ts';
import { type Answer, type Connection, get } from '../../lab/connection.ts';
import { LiveFollowers } from '../load/followers.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { ServerProcess } from '../process/server-process.ts';
import { say } from '../say.ts';
import type { FanOut, FanOutRun } from '../results.ts';
import { percentile } from '../statistics.ts';
import { chronicleWeaver } from '../systems.ts';
import type { Setting } from './references.ts';

const STANDARD = { followers: 1000, perSecond: 1000, seconds: 10 };
const QUICK = { followers: 200, perSecond: 500, seconds: 2 };

const TOPIC = 'fan-out';
const BATCH = 10;
/** Enough that a publish has to wait for a free one only if the server stalls for half a second. */
const CONNECTIONS = 64;

/** How long to send before the clock starts, so that both sides are warm. */
const WARM_UP_SECONDS = 2;

/** How long after the last answer the last follower may receive the last event. */
const SETTLE_MS_MAX = 30_000;

/**
 * The fan-out run: many live followers on one topic, while events are published at a fixed rate, ten at a time, regardless
 * of answers. Every follower must receive every offset.
 */
export async function fanOutRun(
  setting: Setting,
  { quick, profileFolder }: { quick: boolean; profileFolder: string | null },
): Promise<FanOut> {
  const { followers: count, perSecond, seconds } = quick ? QUICK : STANDARD;
  using folder = tempFolder(setting.folder);
  await using server = await ServerProcess.start(chronicleWeaver(folder.path, setting.cores, profileFolder));
  say(`opening ${count} live streams`);
  const followers = await LiveFollowers.open(server.port, `/events/stream?topic=${TOPIC}`, count);
  try {
    const load = new Load(server, followers, setting.eventText);
    await load.publish(perSecond * WARM_UP_SECONDS, perSecond);
    const runs: FanOutRun[] = [];
    for (let run = 0; run < setting.runs; run++) {
      say(`run ${run + 1} of ${setting.runs}: ${count} followers, ${perSecond} events/s for ${seconds} s`);
      runs.push(await load.measure(perSecond * seconds, perSecond));
    }
    const memory = server.memory();
    followers.close();
    await server.stop();
    return { followers: count, perSecond, batch: BATCH, runs, memory };
  } finally {
    followers.close();
  }
}

class Load {
  readonly #server: ServerProcess;
  readonly #followers: LiveFollowers;
  readonly #eventText: (k: number) => string;
  #sent = 0;
  /** When the answer to its publish came, by offset. */
  readonly #answeredMs: number[] = [];

  constructor(server: ServerProcess, followers: LiveFollowers, eventText: (k: number) => string) {
    this.#server = server;
    this.#followers = followers;
    this.#eventText = eventText;
  }

  async measure(events: number, perSecond: number): Promise<FanOutRun> {
    const first = this.#sent + 1;
    this.#followers.forget();
    const serverCpuBefore = this.#server.cpuSeconds();
    const loadCpuBefore = process.cpuUsage();
    const startMs = performance.now();
    await this.publish(events, perSecond);
    const seconds = (performance.now() - startMs) / 1000;
    const serverCpuS = this.#server.cpuSeconds() - serverCpuBefore;
    const loadCpu = process.cpuUsage(loadCpuBefore);
    const sinceCommit = new Float64Array(events * this.#followers.count);
    const sinceAnswer = new Float64Array(sinceCommit.length);
    const committedMs = await this.#committedMs(first);
    let deliveries = 0;
    this.#followers.forEachReceipt((offset, atMs) => {
      sinceCommit[deliveries] = atMs - committedMs[offset - first]!;
      sinceAnswer[deliveries] = atMs - this.#answeredMs[offset]!;
      deliveries += 1;
    });
    if (deliveries !== sinceCommit.length)
      throw new Error(`${deliveries} events were delivered, ${sinceCommit.length} were to be`);
    return {
      events,
      deliveries,
      p50Ms: percentile(sinceCommit, 0.5),
      p99Ms: percentile(sinceCommit, 0.99),
      maxMs: percentile(sinceCommit, 1),
      p99SinceAnswerMs: percentile(sinceAnswer, 0.99),
      serverCpuShare: serverCpuS / seconds,
      loadCpuShare: (loadCpu.user + loadCpu.system) / 1e6 / seconds,
    };
  }

  /** Sends the events on schedule and returns when every follower has all of them. */
  async publish(events: number, perSecond: number): Promise<void> {
    const requests = Array.from({ length: events / BATCH }, (_, i) => this.#request(this.#sent + i * BATCH));
    this.#sent += events;
    const connections = await openAll(this.#server.port, CONNECTIONS);
    try {
      const intervalMs = (1000 * BATCH) / perSecond;
      const startMs = performance.now();
      const idle = [...connections];
      const failures: unknown[] = [];
      const send = async (connection: Connection, request: Buffer): Promise<void> => {
        this.#note(await connection.request(request));
        idle.push(connection);
      };
      for (const [i, request] of requests.entries()) {
        const waitMs = startMs + i * intervalMs - performance.now();
        if (waitMs > 0) await sleep(waitMs);
        while (idle.length === 0 && failures.length === 0) await sleep(1);
        if (failures.length > 0) throw failures[0];
        send(idle.pop()!, request).catch((error: unknown) => failures.push(error));
      }
      while (idle.length < connections.length && failures.length === 0) await sleep(1);
      if (failures.length > 0) throw failures[0];
    } finally {
      for (const connection of connections) connection.close();
    }
    const giveUpAtMs = performance.now() + SETTLE_MS_MAX;
    while (this.#followers.reached() < this.#sent) {
      if (performance.now() > giveUpAtMs)
        throw new Error(`a follower has ${this.#followers.reached()} of ${this.#sent} events`);
      await sleep(5);
    }
  }

  #request(from: number): Buffer {
    const events = Array.from({ length: BATCH }, (_, i) =>
      this.#eventText(from + i).replace(/"topic":"[^"]*"/, `"topic":"${TOPIC}"`),
    );
    const body = `{"events":[${events.join()}]}`;
    const head = `POST /publish?results=true HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n`;
    return Buffer.from(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  #note({ status, body }: Answer): void {
    const nowMs = performance.now();
    if (status !== 200) throw new Error(`a publish was answered with ${status}: ${body.slice(0, 500)}`);
    const { results } = JSON.parse(body) as { results: { offset: number }[] };
    for (const { offset } of results) this.#answeredMs[offset] = nowMs;
  }

  /** The `received_at` of each event from the offset on, as a time of `performance.now`. */
  async #committedMs(first: number): Promise<number[]> {
    const nowAtZero = Date.now() - performance.now();
    const times: number[] = [];
    while (first + times.length <= this.#sent) {
      const { body } = await get(this.#server.port, `/events?limit=10000&after=${first + times.length - 1}`);
      const { events } = JSON.parse(body) as { events: { received_at: string }[] };
      for (const event of events) times.push(Date.parse(event.received_at) - nowAtZero);
    }
    return times;
  }
}
