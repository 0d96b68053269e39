import { createInterface } from 'node:readline/promises';
import { Stopped } from '@chronicleweaver/terminal';
import type { Terminal } from './terminal.ts';

/** The option of commands that let go of events for good. */
export const YES = ['--yes', 'do not ask; needed where nobody can be asked'] as const;

/** Resolves if the user agrees. @throws Stopped if not, or if there is no terminal at which to ask */
export async function confirm(terminal: Terminal, question: string, isSure: true | undefined): Promise<void> {
  if (isSure) return;
  if (!terminal.canAsk) throw new Stopped(2, `${question} Give --yes, since nobody can be asked here.`);
  // Not in raw mode, in which Ctrl-C would be a character.
  const asking = createInterface({ input: terminal.stdin, output: terminal.stderr, terminal: false });
  try {
    // The end of the input is no answer, and would be waited for forever.
    const ended = new AbortController();
    asking.once('close', () => ended.abort(new Stopped(1, 'nothing was done')));
    const signal = AbortSignal.any([terminal.signal, ended.signal]);
    const answer = await asking.question(`${question} [y/N] `, { signal }).catch(() => '');
    terminal.signal.throwIfAborted();
    if (!/^y(es)?$/i.test(answer.trim())) throw new Stopped(1, 'nothing was done');
  } finally {
    asking.close();
  }
}
