import { type Told, PUBLISHERS, closedLoop } from '../load/closed-loop.ts';
import { Driver } from '../load/driver.ts';
import { type Measure, measureLoad } from '../load/measure.ts';
import { Plan, type Segment } from '../load/plan.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { ServerProcess } from '../process/server-process.ts';
import { RedisConnection, RedisProcess, batchCommand } from '../references/redis.ts';
import { say } from '../say.ts';
import { type Beside, scenarioOf } from '../results.ts';
import { chronicleWeaver } from '../systems.ts';
import type { Setting } from './references.ts';

/** Batch size and events of a measure. */
const STANDARD = [
  [1, 40_000],
  [100, 200_000],
  [1000, 200_000],
] as const;
const QUICK = [
  [1, 4_000],
  [100, 20_000],
  [1000, 20_000],
] as const;

/**
 * The side-by-side run: the same publishers, events and duplicates against our server and against a Redis that keeps the
 * same promise, one measure each in turn. A first measure of each, which does not count, warms them up.
 */
export async function besideRun(setting: Setting, { quick }: { quick: boolean }): Promise<Beside> {
  using folder = tempFolder(setting.folder);
  await using redis = await RedisProcess.start(folder.path, setting.cores);
  const script = await redis.load();
  const { server } = await ServerProcess.startReady(chronicleWeaver(folder.path, setting.cores, null));
  try {
    const driver = new Driver(server, setting.seed, setting.eventText);
    const plan = new Plan(setting.seed);
    const rows = [];
    for (const [batch, events] of quick ? QUICK : STANDARD) {
      const ours: Measure[] = [];
      const theirs: Measure[] = [];
      for (let run = 0; run <= setting.runs; run++) {
        say(`batches of ${batch}, ${run === 0 ? 'warming up' : `run ${run} of ${setting.runs}`}`);
        const [requests] = await driver.prepare((next) => [[next.next(events), batch]]);
        ours.push(await driver.publish(requests!));
        await server.whileHeld(async () => {
          theirs.push(await publishToRedis(redis, script, setting.eventText, plan.next(events), batch));
        });
      }
      await driver.checkBooks();
      rows.push({ ours: scenarioOf(batch, ours.slice(1)), redis: scenarioOf(batch, theirs.slice(1)) });
    }
    return { rows };
  } finally {
    await server.kill();
  }
}

/** Throws if Redis does not find as many new events as were sent. */
async function publishToRedis(
  redis: RedisProcess,
  script: string,
  eventText: (k: number) => string,
  { events, fresh }: Segment,
  batch: number,
): Promise<Measure> {
  const wire: Buffer[] = [];
  for (let from = 0; from < events.length; from += batch) {
    const texts = Array.from(events.subarray(from, from + batch), eventText);
    wire.push(
      batchCommand(
        script,
        texts.map((text) => [keyOf(text), text]),
      ),
    );
  }
  const connections = await Promise.all(
    Array.from({ length: PUBLISHERS }, () => RedisConnection.open(redis.port)),
  );
  try {
    const told: Told = { events: events.length, accepted: 0, duplicates: 0, conflicts: 0 };
    const { measure } = await measureLoad(redis, events.length, async () => {
      const times = await closedLoop(connections, wire.length, async (connection, place) => {
        const answer = await connection.request(wire[place]!);
        return () => (told.accepted += Number(answer));
      });
      return { ...times, told };
    });
    if (told.accepted !== fresh) throw new Error(`Redis took ${told.accepted} events as new, ${fresh} were`);
    return measure;
  } finally {
    for (const connection of connections) connection.close();
  }
}

function keyOf(text: string): string {
  const { topic, event_id: id } = JSON.parse(text) as Record<string, string>;
  return `${topic}\n${id}`;
}
