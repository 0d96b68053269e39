import { Stopped } from '@chronicleweaver/terminal';
import { onStopSignal } from '@chronicleweaver/terminal/stop-signals';

/** A shell's exit codes for a program that a signal ended. */
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143 };

/**
 * Aborted at the first SIGINT or SIGTERM; the reason is a Stopped with the exit code of a shell.
 *
 * @param outcome what the user is told has become of the work
 */
export function interruption(outcome: string): AbortSignal {
  const interrupted = new AbortController();
  onStopSignal((signal) => {
    interrupted.abort(new Stopped(SIGNAL_CODES[signal], `interrupted by ${signal}; ${outcome}`));
  });
  return interrupted.signal;
}
