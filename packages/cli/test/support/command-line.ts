import assert from 'node:assert/strict';
import { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../src/program.ts';
import { Terminal } from '../../src/terminal.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout, line by line. */
  readonly lines: string[];
}

/** What a command has written so far. */
interface Written {
  readonly stdout: { readonly text: string };
  readonly stderr: { readonly text: string };
}

export interface Circumstances {
  /** If set, the user interrupts it with this exit code, a moment after it can be interrupted. */
  readonly interrupt?: number | undefined;
  /** What the user waits for before, who sees what the command has written so far. */
  readonly interruptAfter?: ((seen: Written) => Promise<unknown>) | undefined;
  /** The reader of stdout leaves after the first write. */
  readonly readerLeaves?: boolean | undefined;
}

/** Runs a command line in this process, with `input` as its stdin. */
export async function commandLine(
  args: readonly string[],
  input: string | Uint8Array | Readable = '',
  { interrupt, interruptAfter, readerLeaves = false }: Circumstances = {},
): Promise<Ran> {
  const [stdout, stderr] = [new Collector(readerLeaves), new Collector()];
  const stdin = input instanceof Readable ? input : Readable.from([Buffer.from(input)]);
  const terminal = new Terminal({ stdin, stdout, stderr }, (stop) => {
    if (interrupt === undefined) return;
    void Promise.resolve(interruptAfter?.({ stdout, stderr })).then(() => sleep(100)).then(() => stop(interrupt)); // prettier-ignore
  });
  const code = await run(args, terminal);
  return { code, stdout: stdout.text, stderr: stderr.text, lines: stdout.text.split('\n').slice(0, -1) };
}

/** Asserts that it succeeded. */
export async function ok(ran: Promise<Ran>): Promise<Ran> {
  const result = await ran;
  assert.equal(result.code, 0, result.stderr);
  return result;
}

/** The text of an event, with numbers that JavaScript would change. */
export function eventText(topic: string): string {
  return `{"timestamp":"2025-10-28","payload":{"n":1.50,"big":123456789012345678901},"topic":"${topic}","source":"shop","event_id":"1"}`;
}

class Collector extends Writable {
  text = '';
  isTTY = false;
  readonly #readerLeaves: boolean;

  constructor(readerLeaves = false) {
    super();
    this.#readerLeaves = readerLeaves;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.#readerLeaves && this.text !== '') {
      done(Object.assign(new Error('nobody reads'), { code: 'EPIPE' }));
      return;
    }
    this.text += chunk.toString();
    done();
  }
}
