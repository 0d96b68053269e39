import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Site } from '../../../lab/aggregator-process.ts';
import { type Program, until } from '../../../lab/program.ts';
import { SeededRandom } from '../../../lab/random.ts';
import { pathOf } from '../../../lab/repository.ts';
import { readTrace, straceCommand, straceMissing } from '../../../lab/strace.ts';
import { SmallDisk, mountMissing } from '../../../tests/support/small-disk.ts';
import { sharedServer } from '../../client/test/support/shared-server.ts';
import { pipedGroups } from './support/piped-group.ts';

const TIMEOUT = { timeout: 240_000 };
const KILLS = 6;

const server = await sharedServer();
const groupWith = pipedGroups(server);

function pipe(site: Site, group: string, args: readonly string[], under: readonly string[] = []): Program {
  const main = pathOf('packages/cli/src/main.ts');
  const command = [process.execPath, main, 'pipe', `--group=${group}`, `--url=${server.url}`, ...args];
  return site.run([...under, ...command]);
}

async function stop(program: Program): Promise<void> {
  program.signal('SIGTERM');
  assert.deepEqual(await program.exit(15_000), { code: 0, signal: null }, program.printed());
}

test(
  'a pipe that is killed again and again leaves each event in its files once, whole',
  TIMEOUT,
  async (t) => {
    const random = new SeededRandom(1);
    const { name, group, stored } = await groupWith(t, 2000, { lease_ms: 1500, max_deliveries: 1000 });
    const site = new Site(t);
    const path = join(site.folder, 'out.ndjson');
    const args = (batch: number) => ['--to=file', path, `--batch=${batch}`, '--rotate-size=30kB'];
    const bytes = (): number => readdirSync(site.folder).reduce((sum, file) => sum + sizeOf(join(site.folder, file)), 0); // prettier-ignore
    for (let kill = 1; kill <= KILLS; kill++) {
      const before = bytes();
      const killed = pipe(site, name, args(10));
      await until(() => killed.printed(), () => bytes() > before + 4096 || killed.hasExited); // prettier-ignore
      await sleep(random.between(0, 20));
      await killed.kill();
    }
    const { acknowledged } = await group.group();
    assert.ok(acknowledged > 0 && acknowledged < 2000, `${acknowledged} were acknowledged by the last kill`);
    const last = pipe(site, name, args(100));
    await group.drained();
    await stop(last);
    const names = readdirSync(site.folder).filter((file) => file.endsWith('.ndjson'));
    const text = names.map((file) => readFileSync(join(site.folder, file), 'utf8')).join('');
    assert.deepEqual(text.split('\n').slice(0, -1).toSorted(), (await stored()).toSorted());
  },
);

/** 0 for a file that is being renamed. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

test(
  'a command that is under way when its pipe is killed has all of its batch, and it comes again',
  TIMEOUT,
  async (t) => {
    const { name, group } = await groupWith(t, 1, { lease_ms: 1500 });
    const site = new Site(t);
    const seen = join(site.folder, 'seen');
    const begun = join(site.folder, 'begun');
    const killed = pipe(site, name, [`--exec=touch '${begun}'; sleep 1; cat >> '${seen}'`]);
    await until(() => killed.printed(), () => existsSync(begun)); // prettier-ignore
    await killed.kill();
    await until(() => 'the command', () => sizeOf(seen) > 0); // prettier-ignore
    const next = pipe(site, name, [`--exec=cat >> '${seen}'`]);
    await group.drained();
    await stop(next);
    const [first, second, end] = readFileSync(seen, 'utf8').split('\n');
    assert.match(first!, /"big":123456789012345678901\}.*\}$/);
    assert.deepEqual([second, end], [first, '']);
  },
);

function onlyIf(
  missing: string | null,
  variable: string,
  name: string,
  work: (t: TestContext) => Promise<void>,
): void {
  if (missing === null) test(name, TIMEOUT, work);
  else if (process.env[variable] === '1') test(name, () => assert.fail(missing));
  else test(name, { skip: missing }, () => {});
}

onlyIf(
  straceMissing(),
  'REQUIRE_STRACE',
  'an event is acknowledged after its line was written and synced',
  async (t) => {
    const { name, group } = await groupWith(t, 30);
    const site = new Site(t);
    const [path, trace] = [join(site.folder, 'out.ndjson'), join(site.folder, 'trace')];
    const traced = pipe(site, name, ['--to=file', path, '--batch=10'], straceCommand(trace));
    await group.drained();
    await stop(traced);
    const calls = readTrace(trace);
    const acknowledgements = calls.filter(({ text }) => /"POST \/subscriptions\/[^ ]*\/ack /.test(text));
    assert.ok(acknowledgements.length >= 2);
    const ofFile = calls.filter(({ text }) => text.includes(`<${path}>`));
    const isSync = (call: (typeof calls)[number]): boolean => /^f(?:data)?sync/.test(call.name);
    // What the file held at the start is synced before anything else.
    assert.ok(isSync(ofFile[0]!));
    assert.ok(ofFile.some(({ name }) => name.startsWith('write')));
    const first = ofFile.find(({ name }) => name.startsWith('write'))!;
    for (const { begin } of acknowledgements) {
      const before = ofFile.filter((call) => call.end < begin);
      assert.ok(
        before.some((call) => isSync(call) && call.begin > first.end),
        'nothing was synced before',
      );
    }
    // As many syncs as writes, each behind its own.
    const order = ofFile.slice(1).map(({ name }) => (name.startsWith('write') ? 'write' : 'sync'));
    assert.deepEqual(order, order.map((_, i) => (i % 2 === 0 ? 'write' : 'sync'))); // prettier-ignore
  },
);

onlyIf(
  mountMissing(),
  'REQUIRE_MOUNTS',
  'a pipe waits while the disk is full, and goes on once there is room',
  async (t) => {
    const { name, group, stored } = await groupWith(t, 200);
    const site = new Site(t);
    const disk = new SmallDisk(t, 1);
    const path = join(disk.folder, 'out.ndjson');
    disk.fill(20_000);
    const full = pipe(site, name, ['--to=file', path, '--batch=50']);
    await until(() => full.printed(), () => /no space left.*; trying again until it works/i.test(full.stderr)); // prettier-ignore
    const { acknowledged, in_flight, dead } = await group.group();
    assert.ok(acknowledged < 200 && in_flight > 0 && dead === 0);
    assert.ok(readFileSync(path, 'utf8').endsWith('}\n'), 'half a batch was left');
    disk.free();
    await group.drained();
    await stop(full);
    assert.match(full.stderr, /it works again/);
    assert.deepEqual(readFileSync(path, 'utf8').split('\n').slice(0, -1), await stored());
  },
);
