import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { type Cores, nodeCommand } from './cores.ts';
import { own } from './lifetime.ts';

const SCRIPT_MS_MAX = 10 * 60_000;

/** Runs a script that measures by itself, on the servers' core, and returns the JSON that it writes. */
export async function runScript(script: string, args: readonly string[], cores: Cores): Promise<unknown> {
  const [file, ...nodeArgs] = nodeCommand(cores);
  const child = spawn(file, [...nodeArgs, script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: SCRIPT_MS_MAX,
    killSignal: 'SIGKILL',
  });
  own(child);
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (child.exitCode !== 0) throw new Error(`${script} ended with ${child.exitCode ?? child.signalCode}`);
  return JSON.parse(output) as unknown;
}
