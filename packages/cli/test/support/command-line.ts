import { Readable, Writable } from 'node:stream';
import { run } from '../../src/program.ts';
import { Terminal } from '../../src/terminal.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout, line by line. */
  readonly lines: string[];
}

/** Runs a command line in this process; `input` is what it reads. */
export async function commandLine(args: readonly string[], input: string | Uint8Array = ''): Promise<Ran> {
  const [stdout, stderr] = [new Collector(), new Collector()];
  const terminal = new Terminal({ stdin: Readable.from([Buffer.from(input)]), stdout, stderr }, () => {});
  const code = await run(args, terminal);
  return { code, stdout: stdout.text, stderr: stderr.text, lines: stdout.text.split('\n').slice(0, -1) };
}

class Collector extends Writable {
  text = '';
  isTTY = false;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
