import { join } from 'node:path';
import { get } from '../../lab/connection.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { type SystemCall, readTrace, straceCommand, straceMissing } from '../../lab/strace.ts';
import { Driver } from '../load/driver.ts';
import { ServerProcess } from '../process/server-process.ts';
import type { WritesRow, Writes } from '../results.ts';
import { say } from '../say.ts';
import { chronicleWeaver } from '../systems.ts';
import type { Setting } from './references.ts';

/** Batch size and events. */
const STANDARD = [
  [1, 20_000],
  [100, 100_000],
  [1000, 200_000],
] as const;
const QUICK = [
  [1, 4_000],
  [100, 40_000],
  [1000, 80_000],
] as const;

/** SQLite writes a page of the log as two pieces: its header, and this. */
const PAGE_BYTES = 4096;

/**
 * The writes run: what a commit writes and syncs, as strace sees it, in a stretch of its own because strace makes every
 * traced call slower. Whatever the service does between the first publish and the last answer counts, merges and the
 * folding of the log included. Rows are missing where strace cannot be used.
 */
export async function writesRun(setting: Setting, { quick }: { quick: boolean }): Promise<Writes> {
  const missing = straceMissing();
  const rows: WritesRow[] = [];
  for (const [batch, events] of missing !== null ? [] : quick ? QUICK : STANDARD) {
    say(`writes and syncs, batches of ${batch}`);
    rows.push(await writesOf(setting, batch, events));
  }
  return { missing, rows };
}

async function writesOf(setting: Setting, batch: number, events: number): Promise<WritesRow> {
  using folder = tempFolder(setting.folder);
  const trace = join(folder.path, 'trace');
  const command = chronicleWeaver(folder.path, setting.cores, null);
  const { server } = await ServerProcess.startReady({ ...command, under: straceCommand(trace) });
  const driver = new Driver(server, setting.seed, setting.eventText);
  let commits: number;
  try {
    const [requests] = await driver.prepare((plan) => [[plan.next(events), batch]]);
    const before = await commitsOf(server);
    await driver.publish(requests!);
    commits = (await commitsOf(server)) - before;
  } finally {
    await server.kill();
  }
  const calls = readTrace(trace);
  // The answers before and after tell the beginning and the end.
  const isAnswer = ({ text }: SystemCall): boolean => /HTTP\/1\.1 200/.test(text);
  const publishing = calls.slice(calls.findIndex(isAnswer), calls.findLastIndex(isAnswer));
  return { batch, events, commits, ...countsOf(publishing, command.databasePath) };
}

async function commitsOf(server: ServerProcess): Promise<number> {
  const { body } = await get(server.port, '/stats');
  return (JSON.parse(body) as { commits: number }).commits;
}

function countsOf(
  calls: readonly SystemCall[],
  path: string,
): Omit<WritesRow, 'batch' | 'events' | 'commits'> {
  const ofLog = calls.filter(({ text }) => text.includes(`<${path}-wal>`));
  const ofFile = calls.filter(({ text }) => text.includes(`<${path}>`));
  const writer = ofLog.findLast(isWrite)!.thread;
  return {
    logPages: ofLog.filter((call) => isWrite(call) && bytesOf(call) === PAGE_BYTES).length,
    logSyncs: ofLog.filter((call) => isSync(call)).length,
    filePages: ofFile.filter(isWrite).length,
    fileSyncs: ofFile.filter(isSync).length,
    fileSyncsByWriter: ofFile.filter((call) => isSync(call) && call.thread === writer).length,
    bytes: [...ofLog, ...ofFile].filter(isWrite).reduce((sum, call) => sum + bytesOf(call), 0),
  };
}

function isWrite({ name }: SystemCall): boolean {
  return name === 'pwrite64';
}

function isSync({ name }: SystemCall): boolean {
  return name === 'fsync' || name === 'fdatasync';
}

function bytesOf({ text }: SystemCall): number {
  return Number(/= (\d+)$/.exec(text)?.[1] ?? 0);
}
