#!/usr/bin/env node
import { constants } from 'node:os';

/** Older ones lack what this is written with; the service asks for more, and says so itself (SQLite). */
const NODE_MAJOR_MIN = 22;

if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
  process.stderr.write(
    `chronicleweaver: this is Node.js ${process.versions.node}; it needs 22.22.3 or later\n`,
  );
  process.exitCode = 1;
} else {
  const { run } = await import('./program.ts');
  const { Terminal } = await import('./terminal.ts');
  const terminal = new Terminal(process, (interrupt) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      // Once: a second one ends the process there and then, as it would without this.
      process.once(name, () => interrupt(128 + constants.signals[name]));
    }
  });
  const exitCode = await run(process.argv.slice(2), terminal);
  // A program that it became has its own.
  process.exitCode ??= exitCode;
}
