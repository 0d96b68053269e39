import { dirname } from 'node:path';
import { Program } from '../../lab/program.ts';
import { type Cores, nodeCommand } from './cores.ts';

const SCRIPT_MS_MAX = 10 * 60_000;

/** Runs a script that does its own measuring, on the servers' core, and returns the JSON that it prints. */
export async function runScript(script: string, args: readonly string[], cores: Cores): Promise<unknown> {
  const program = new Program([...nodeCommand(cores), script, ...args], {
    cwd: dirname(script),
    showsErrors: true,
  });
  try {
    const { code, signal } = await program.exit(SCRIPT_MS_MAX);
    if (code !== 0) throw new Error(`${script} ended with ${code ?? signal}`);
    return JSON.parse(program.stdout) as unknown;
  } finally {
    await program.kill();
  }
}
