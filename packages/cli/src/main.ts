#!/usr/bin/env node
import { constants } from 'node:os';

/** Older versions lack features used here; the service requires a later one, and says so itself (SQLite). */
const NODE_MAJOR_MIN = 22;

if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
  process.stderr.write(
    `chronicleweaver: this is Node.js ${process.versions.node}; it needs 22.22.3 or later\n`,
  );
  process.exitCode = 1;
} else {
  const { run } = await import('./program.ts');
  const { Terminal } = await import('./terminal.ts');
  const { onStopSignal, stopWithNpm } = await import('@chronicleweaver/terminal/stop-signals');
  stopWithNpm();
  const terminal = new Terminal(process, (interrupt) =>
    onStopSignal((signal) => interrupt(128 + constants.signals[signal])),
  );
  const exitCode = await run(process.argv.slice(2), terminal);
  // A program that took over has set its own.
  process.exitCode ??= exitCode;
}
