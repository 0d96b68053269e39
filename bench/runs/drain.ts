import { openAll } from '../load/closed-loop.ts';
import { get, requestBytes } from '../../lab/connection.ts';
import { Driver } from '../load/driver.ts';
import type { Measure } from '../load/measure.ts';
import { type Drained, drainGroup } from '../load/workers.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { ServerProcess } from '../process/server-process.ts';
import { say } from '../say.ts';
import type { Drain, DrainRun } from '../results.ts';
import { median, percentile } from '../statistics.ts';
import { chronicleWeaver } from '../systems.ts';
import type { Setting } from './references.ts';

const STANDARD_EVENTS = 200_000;
const QUICK_EVENTS = 20_000;
const BATCHES = [1000, 100];

/**
 * The drain run: publishes a log in batches of each size and measures that, then drains it with the workers of a group,
 * in batches of the same size, everything acknowledged. Every event must be delivered once, and the group's books must
 * say so.
 */
export async function drainRun(
  setting: Setting,
  { quick, profileFolder }: { quick: boolean; profileFolder: string | null },
): Promise<Drain> {
  const events = quick ? QUICK_EVENTS : STANDARD_EVENTS;
  using folder = tempFolder(setting.folder);
  const command = chronicleWeaver(folder.path, setting.cores, profileFolder);
  const { server } = await ServerProcess.startReady(command);
  try {
    const ingest = await publishAll(new Driver(server, setting.seed, setting.eventText), events);
    const runs: DrainRun[] = [];
    for (const [batch, published] of ingest) {
      const drained: MeasuredDrain[] = [];
      for (let run = 0; run < setting.runs; run++) {
        say(`run ${run + 1} of ${setting.runs}: draining ${events} events, ${batch} at a time`);
        drained.push(await drain(server, `drain-${batch}-${run}`, events, batch));
      }
      runs.push(drainRunOf(batch, events, published, drained));
    }
    const memory = server.memory();
    await server.stop();
    return { events, runs, memory };
  } finally {
    await server.kill();
  }
}

/** Publishes the events, an equal part in batches of each size; returns the measure of each part. */
async function publishAll(driver: Driver, events: number): Promise<Map<number, Measure>> {
  const ingest = new Map<number, Measure>();
  for (const [i, batch] of BATCHES.entries()) {
    const upTo = (events * (i + 1)) / BATCHES.length;
    say(`publishing to ${upTo} events, batches of ${batch}`);
    const [requests] = await driver.prepare((plan) => [[plan.untilKeys(upTo), batch]]);
    ingest.set(batch, await driver.publish(requests!));
  }
  await driver.checkBooks();
  return ingest;
}

type MeasuredDrain = Drained & { readonly serverCpuShare: number; readonly loadCpuShare: number };

async function drain(
  server: ServerProcess,
  group: string,
  events: number,
  batch: number,
): Promise<MeasuredDrain> {
  await makeGroup(server.port, group);
  const drained = await measured(server, () => drainGroup(server.port, group, events, batch));
  await checkGroup(server.port, group, events);
  return drained;
}

function drainRunOf(
  batch: number,
  events: number,
  published: Measure,
  drained: readonly MeasuredDrain[],
): DrainRun {
  const pullMs = Float64Array.from(drained.flatMap((one) => one.pullMs));
  const acknowledgeMs = Float64Array.from(drained.flatMap((one) => one.acknowledgeMs));
  return {
    batch,
    ingestEventsPerS: published.eventsPerS,
    ingestEventsPerCpuS: published.eventsPerCpuS,
    eventsPerCpuS: median(drained.map(({ seconds, serverCpuShare }) => events / (seconds * serverCpuShare))),
    eventsPerS: median(drained.map(({ seconds }) => events / seconds)),
    p50PullMs: percentile(pullMs, 0.5),
    p99PullMs: percentile(pullMs, 0.99),
    p50AcknowledgeMs: percentile(acknowledgeMs, 0.5),
    p99AcknowledgeMs: percentile(acknowledgeMs, 0.99),
    serverCpuShare: median(drained.map(({ serverCpuShare }) => serverCpuShare)),
    loadCpuShare: median(drained.map(({ loadCpuShare }) => loadCpuShare)),
  };
}

async function measured<T>(
  server: ServerProcess,
  work: () => Promise<T>,
): Promise<T & { serverCpuShare: number; loadCpuShare: number }> {
  const serverCpuBefore = server.cpuSeconds();
  const loadCpuBefore = process.cpuUsage();
  const startMs = performance.now();
  const result = await work();
  const seconds = (performance.now() - startMs) / 1000;
  const loadCpu = process.cpuUsage(loadCpuBefore);
  return {
    ...result,
    serverCpuShare: (server.cpuSeconds() - serverCpuBefore) / seconds,
    loadCpuShare: (loadCpu.user + loadCpu.system) / 1e6 / seconds,
  };
}

async function makeGroup(port: number, name: string): Promise<void> {
  const [connection] = await openAll(port, 1);
  try {
    const definition = '{"topics":[">"],"start":"earliest"}';
    const { status, body } = await connection!.request(
      requestBytes(`PUT /subscriptions/${name}`, definition),
    );
    if (status !== 201) throw new Error(`a group was answered with ${status}: ${body}`);
  } finally {
    connection!.close();
  }
}

async function checkGroup(port: number, name: string, events: number): Promise<void> {
  const { body } = await get(port, `/subscriptions/${name}`);
  const books = JSON.parse(body) as Record<string, number>;
  const expected = { cursor: events, lag: 0, in_flight: 0, dead: 0, deliveries: events, redeliveries: 0, acknowledged: events }; // prettier-ignore
  for (const [what, count] of Object.entries(expected)) {
    if (books[what] !== count) throw new Error(`${what} of ${name} is ${books[what]}, it must be ${count}`);
  }
}
