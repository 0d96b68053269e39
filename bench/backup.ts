import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command, option, run, wholeNumber } from '@chronicleweaver/terminal';
import { folderOption } from '../lab/options.ts';
import { Program } from '../lab/program.ts';
import { Driver } from './load/driver.ts';
import { createEventText } from './load/event-text.ts';
import { tempFolder } from '../lab/lifetime.ts';
import { ServerProcess } from './process/server-process.ts';
import { chronicleWeaver } from './systems.ts';

const program = new Command('npm run bench:backup --')
  .description(
    'Measures what a backup costs the service: the times of answers to publishes at a fixed rate, alone and while the ' +
      'file is copied or the copy verified, again and again until the load ends.',
  )
  .addOption(option('--keys <number>', 'how many events are in the file', wholeNumber(1)).default(1_000_000))
  .addOption(folderOption())
  .action(({ keys, dir }) => measureAll(keys, dir));

const BATCH = 20;
const PUBLISHES_PER_SECOND = 200;
const SECONDS = 15;
const BACKUP = join(import.meta.dirname, '../packages/aggregator/src/programs/backup.ts');

async function measureAll(keys: number, parent: string): Promise<void> {
  using folder = tempFolder(parent);
  const command = chronicleWeaver(folder.path, null, null);
  const { databasePath } = command;
  const { server } = await ServerProcess.startReady(command);
  const driver = new Driver(server, 1, createEventText(1));
  await driver.fill('filling', keys);
  print(['', 'p50 ms', 'p99 ms', 'max ms', 'backups', 'WAL MB']);
  await measure('alone', driver, databasePath, null);
  await measure('copying', driver, databasePath, ['--no-verify']);
  await measure('copying, verifying', driver, databasePath, []);
  await driver.checkBooks();
  await server.kill();
}

async function measure(
  what: string,
  driver: Driver,
  databasePath: string,
  flags: readonly string[] | null,
): Promise<void> {
  const events = BATCH * PUBLISHES_PER_SECOND * SECONDS;
  const [requests] = await driver.prepare((plan) => [[plan.next(events), BATCH]]);
  const load = driver.publishOnSchedule(requests!, PUBLISHES_PER_SECOND);
  let backups = 0;
  if (flags !== null) while (await backedUp(databasePath, flags, load)) backups += 1;
  const { p50Ms, p99Ms, maxMs } = await load;
  const walMb = (statSync(`${databasePath}-wal`).size / 1e6).toFixed(1);
  print([what, p50Ms.toFixed(1), p99Ms.toFixed(1), maxMs.toFixed(1), String(backups), walMb]);
}

/** Runs a backup and returns whether it finished before the load did. */
async function backedUp(
  databasePath: string,
  flags: readonly string[],
  over: Promise<unknown>,
): Promise<boolean> {
  const to = join(databasePath, '../copy.db');
  const args = [BACKUP, to, '--from', databasePath, '--replace', ...flags];
  const program = new Program([process.execPath, ...args], { cwd: dirname(to), showsErrors: true });
  const isDone = await Promise.race([program.exited.then(() => true), over.then(() => false)]);
  if (!isDone) await program.kill();
  const { code } = await program.exited;
  if (isDone && code !== 0) throw new Error(`the backup ended with ${code}`);
  return isDone;
}

function print(cells: readonly string[]): void {
  process.stdout.write(
    `${cells.map((cell, i) => (i === 0 ? cell.padEnd(20) : cell.padStart(9))).join('')}\n`,
  );
}

process.exitCode = await run(program, 'bench:backup');
