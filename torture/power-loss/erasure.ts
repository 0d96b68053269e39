import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AggregatorProcess } from '../../lab/aggregator-process.ts';
import type { Change } from '../../lab/breakages/breakage.ts';
import { changedSource } from '../../lab/changed-source.ts';
import { Connection, requestBytes } from '../../lab/connection.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { Program, until } from '../../lab/program.ts';
import { SeededRandom } from '../../lab/random.ts';
import { piecesIn, piecesOf } from '../../lab/stored-pieces.ts';
import { Disk, REMAINS } from './disk.ts';
import { Playback } from './playback.ts';
import { Promises } from './promises.ts';
import { isRecorded, readRecording, recordCommand } from './recording.ts';

/** How many events come before the erasure, and after it. */
const EVENTS = 6;

/** Of a text, before it is written in base64: compressed, its bytes are nowhere else. */
const NOISE_BYTES = 30_000;

/** What a run has found. */
export interface ErasureReport {
  losses: number;
  /** How many pieces of the erased text were stored before. */
  pieces: number;
  /** How many of them the files had again, at most. */
  cameBack: number;
}

/**
 * Records a process that erases an event, and looks for bytes of its text in the files that losses of power leave after the
 * answer.
 *
 * @param losses for each way in which unsynced data survives
 * @param changes to the service's sources, with which a test breaks it
 */
export async function losePowerAfterErasure(
  { seed, losses, folder: within }: { seed: number; losses: number; folder: string },
  changes: readonly Change[] = [],
): Promise<ErasureReport> {
  using temp = tempFolder(within, 'chronicleweaver-power-loss-');
  const folder = temp.path;
  const data = join(folder, 'data');
  mkdirSync(data);
  const databasePath = join(data, 'events.db');
  const trace = join(folder, 'trace');
  const source = changedSource(join(folder, 'source'), changes);
  const env = { APP_PORT: '0', DEDUPLICATION_DB_PATH: databasePath };
  const service = new AggregatorProcess(
    (onLine) => new Program([...recordCommand(trace), ...source.start], { cwd: folder, env, onLine }),
  );
  let pieces: Buffer[];
  try {
    await service.listening();
    const connection = await Connection.open(service.port);
    const request = async (target: string, body = ''): Promise<void> => {
      const { status, body: answer } = await connection.request(requestBytes(target, body));
      if (status !== 200) throw new Error(`${target}: ${status} ${answer}`);
    };
    for (let i = 0; i < EVENTS; i++) await request('POST /publish', noiseEvent(i));
    const erased = EVENTS - 1;
    pieces = piecesOf(databasePath, erased + 1);
    await request(`DELETE /events/noise/${erased}`);
    for (let i = EVENTS; i < 2 * EVENTS; i++) await request('POST /publish', noiseEvent(i));
    connection.close();
  } finally {
    await service.kill();
  }
  await until(
    () => 'the end of the recording',
    () => isRecorded(trace, service.program.pid),
  );
  const random = new SeededRandom(seed);
  const disk = new Disk(data);
  const playback = new Playback(readRecording(trace, databasePath, -1), disk, new Promises());
  const answered = playback.placeAfter('erased');
  const report: ErasureReport = { losses: 0, pieces: pieces.length, cameBack: 0 };
  for (const place of [answered, Math.floor((answered + playback.length) / 2), playback.length]) {
    playback.playTo(place);
    for (const remains of REMAINS) {
      for (let i = 0; i < losses; i++) {
        const files = [...disk.afterLoss(remains, random).values()];
        report.losses += 1;
        report.cameBack = Math.max(report.cameBack, piecesIn(files, pieces));
      }
    }
  }
  return report;
}

function noiseEvent(id: number): string {
  return JSON.stringify({
    event_id: `${id}`,
    topic: 'noise',
    timestamp: new Date(0).toISOString(),
    source: 'power-loss',
    payload: { noise: randomBytes(NOISE_BYTES).toString('base64') },
  });
}
