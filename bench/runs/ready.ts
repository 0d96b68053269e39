import { setTimeout as sleep } from 'node:timers/promises';
import { tempFolder } from '../../lab/lifetime.ts';
import { ServerProcess } from '../process/server-process.ts';
import type { Ready } from '../results.ts';
import { say } from '../say.ts';
import { chronicleWeaver } from '../systems.ts';
import type { Setting } from './references.ts';

/** How long a server that nobody asks anything is given to come to rest. */
const REST_MS = 3000;

/** Starts on a file in which nothing is stored, each after a `kill -9`; the first start, which makes the file, does not count. */
export async function readyFresh(setting: Setting): Promise<Ready> {
  say('kill -9 and return, with nothing stored');
  using folder = tempFolder(setting.folder);
  const command = chronicleWeaver(folder.path, setting.cores, null);
  let { server } = await ServerProcess.startReady(command);
  try {
    const ms: number[] = [];
    for (let time = 0; time < setting.runs; time++) {
      await server.kill();
      const back = await ServerProcess.startReady(command);
      server = back.server;
      ms.push(back.readyMs);
    }
    return { keys: 0, ms, restBytes: await atRest(server) };
  } finally {
    await server.kill();
  }
}

/** Resident bytes once the server has come to rest, or null where the system does not say. */
export async function atRest(server: ServerProcess): Promise<number | null> {
  await sleep(REST_MS);
  return server.memory()?.bytes ?? null;
}
