import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Event, StoredEvent } from '@chronicleweaver/protocol';
import { type AggregatorProcess, Site, assertBalanced } from '../../lab/aggregator-process.ts';
import { PostgresServer } from '../../lab/postgres-server.ts';
import { type Program, until } from '../../lab/program.ts';
import { SeededRandom } from '../../lab/random.ts';
import { pathOf } from '../../lab/repository.ts';
import { Group } from '../../packages/aggregator/test/support/group.ts';

const TIMEOUT = { timeout: 120_000 };
const MAIN = pathOf('packages/aggregator/src/programs/move.ts');
const server = PostgresServer.start();

/** Runs the program of `npm run move -- …` in the site's folder. */
function startMove(site: Site, from: string, to: string, ...args: string[]): Program {
  return site.run([process.execPath, MAIN, '--from', from, '--to', to, ...args]);
}

async function runMove(site: Site, from: string, to: string, ...args: string[]): Promise<Program> {
  const program = startMove(site, from, to, ...args);
  await program.exit(60_000);
  return program;
}

/** Publishers that go on, retrying what was not answered, until they are stopped. */
class Load {
  readonly acknowledged: { readonly event: Event; readonly offset: number }[] = [];
  /** Of batches whose answer never came. */
  readonly unanswered: Event[] = [];
  readonly refusals = new Set<string>();
  readonly #services: readonly AggregatorProcess[];
  readonly #publishers: Promise<unknown>;
  readonly #name: string;
  #isStopped = false;

  constructor(t: TestContext, name: string, services: readonly AggregatorProcess[], publishers: number) {
    t.after(() => (this.#isStopped = true));
    this.#name = name;
    this.#services = services;
    this.#publishers = Promise.all(Array.from({ length: publishers }, (_, i) => this.#publish(i)));
    this.#publishers.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#publishers;
  }

  async #publish(publisher: number): Promise<void> {
    for (let batch = 0; !this.#isStopped; batch++) {
      const events = Array.from({ length: 1 + (batch % 40) }, (_, i) =>
        this.#event(`${publisher}-${batch}-${i}`),
      );
      const service = this.#services[batch % this.#services.length]!;
      try {
        const response = await service.post({ events }, '/publish?results=true');
        const text = await response.text();
        if (response.status !== 200) throw new Error(`${response.status} ${text}`);
        const { results } = JSON.parse(text) as { results: { offset: number }[] };
        for (const [i, { offset }] of results.entries())
          this.acknowledged.push({ event: events[i]!, offset });
        await sleep(5);
      } catch (error) {
        this.unanswered.push(...events);
        this.refusals.add(error instanceof Error ? error.message : String(error));
        await sleep(50);
      }
    }
  }

  #event(id: string): Event {
    return {
      event_id: `${this.#name}-${id}`,
      topic: `topic-${id.length % 5}`,
      source: 'move',
      payload: { message: `ü of ${id}`, filler: id.repeat(10) },
      timestamp: '2025-10-28T10:00:00Z',
    };
  }
}

/** Kills moves at moments of chance until one has got behind the beginning of each. */
async function killMoves(site: Site, from: string, to: string, kills: number): Promise<void> {
  const random = new SeededRandom(11);
  for (let kill = 0; kill < kills; kill++) {
    const program = startMove(site, from, to, '--wait');
    await Promise.race([program.exited, sleep(300 + random.whole(0, 900))]);
    assert.ok(!program.hasExited, program.printed());
    await program.kill();
  }
}

/** Crashes the database while a move fills it, and brings it up again. */
async function crashUnder(database: PostgresServer, move: Program): Promise<void> {
  await sleep(700);
  await database.stop('immediate');
  await database.start();
  const { code } = await move.exit(30_000);
  // It may have ended just before.
  assert.ok(code === 2 ? /^move: [^\n]+\n$/.test(move.stderr) : code === 3, move.printed());
}

/** Works on a group until it is refused. Returns the offsets whose acknowledgement was answered. */
async function work(group: Group): Promise<number[]> {
  const done: number[] = [];
  for (;;) {
    try {
      const events = await group.pull({ max: 20 });
      await group.acknowledge(events);
      done.push(...events.map(({ offset }) => offset));
    } catch {
      return done;
    }
  }
}

/** Sends everything again: nothing is new, and everything is where it was. */
async function retryAll(service: AggregatorProcess, { acknowledged, unanswered }: Load): Promise<void> {
  for (let at = 0; at < acknowledged.length; at += 1000) {
    const part = acknowledged.slice(at, at + 1000);
    const answer = await service.publish(...part.map(({ event }) => event));
    assert.deepEqual([answer.accepted, answer.conflicts], [0, 0]);
    assert.deepEqual(answer.results!.map(({ offset }) => offset), part.map(({ offset }) => offset)); // prettier-ignore
    const changed = part.slice(0, 50).map(({ event }) => ({ ...event, source: 'another' }));
    const { conflicts } = await service.publish(...changed);
    assert.equal(conflicts, changed.length);
  }
  if (unanswered.length > 0) await service.publish(...unanswered);
  assertBalanced(await service.stats());
}

test(
  'a file under load moves to PostgreSQL, and back while instances serve: moves are killed, nothing acknowledged is missing',
  TIMEOUT,
  async (t) => {
    t.after(async () => (await server).close());
    const site = new Site(t);
    const file = `sqlite:${site.databasePath}`;
    const database = (await server).newLog();
    const old = await site.start({ settings: { STORE_URL: file } });
    const load = new Load(t, 'there', [old], 4);
    await until(() => 'some events', () => load.acknowledged.length > 3000); // prettier-ignore

    const group = new Group(old.url);
    await group.make({ lease_ms: 600_000 });
    const held = await group.pull({ max: 10 });
    await group.acknowledge(held.slice(0, 5));

    // By day: it is copied, and the service goes on.
    const copied = await runMove(site, file, database);
    assert.deepEqual((await copied.exited).code, 3, copied.printed());
    assert.match(copied.stdout, /^copied: \d+ events .* a service is running on it: stop it/);
    const early = await site.fail({ settings: { STORE_URL: database } });
    assert.match(
      early.stderr,
      /^chronicleweaver: STORE_URL: [^\n]*is being filled by a move from sqlite:[^\n]*\n$/,
    );
    await killMoves(site, file, database, 2);
    await crashUnder(await server, startMove(site, file, database));

    // By night.
    const move = startMove(site, file, database, '--wait');
    await until(() => move.printed(), () => move.stderr.includes('stop it now') || move.hasExited); // prettier-ignore
    const { events: before } = await old.get<{ events: StoredEvent[] }>('/events');
    await old.stop();
    assert.equal((await move.exit(30_000)).code, 0, move.printed());
    await load.stop();
    const again = await site.fail({ settings: { STORE_URL: file } });
    assert.match(again.stderr, /^chronicleweaver: \w+: [^\n]*was moved to postgres:\/\/[^\n]*\n$/);

    const instances = [
      await site.start({ settings: { STORE_URL: database } }),
      await site.start({ settings: { STORE_URL: database } }),
    ];
    const { events: after } = await instances[0]!.get<{ events: StoredEvent[] }>('/events');
    assert.deepEqual(after.slice(0, before.length), before);
    await retryAll(instances[1]!, load);
    group.url = instances[0]!.url;
    await group.acknowledge(held.slice(5));
    assert.deepEqual((await group.pull({ max: 2 })).map(({ offset }) => offset), [11, 12]); // prettier-ignore

    // And back, while both instances run.
    const back = new Load(t, 'back', instances, 4);
    await until(() => 'some events', () => back.acknowledged.length > 1500); // prettier-ignore
    const returned = `sqlite:${join(site.folder, 'returned.db')}`;
    await killMoves(site, database, returned, 2);
    const working = work(group);
    const ahead = back.acknowledged.length;
    const fenced = await runMove(site, database, returned, '--fence');
    assert.equal((await fenced.exited).code, 0, fenced.printed());
    assert.ok(back.acknowledged.length > ahead, 'nothing was published meanwhile');
    await until(() => 'a refusal', () => back.unanswered.length > 0); // prettier-ignore
    await back.stop();
    assert.match([...back.refusals].join('\n'), /503 .*the log was moved to sqlite:/);
    const { events: there } = await instances[0]!.get<{ events: StoredEvent[] }>('/events');

    const last = await site.start({ settings: { STORE_URL: returned } });
    const { events: here } = await last.get<{ events: StoredEvent[] }>('/events');
    assert.deepEqual(here, there);
    await retryAll(last, load);
    await retryAll(last, back);
    const done = new Set(await working);
    assert.ok(done.size > 100, `${done.size}`);
    group.url = last.url;
    for (let pulls = 0; pulls < 20; pulls++) {
      const again = (await group.pull({ max: 1000 })).filter(({ offset }) => done.has(offset));
      assert.deepEqual(again, []);
    }
    await Promise.all(instances.map((instance) => instance.kill()));
  },
);
