#!/usr/bin/env node
import { constants } from 'node:os';
import { run } from './program.ts';
import { Terminal } from './terminal.ts';

const terminal = new Terminal(process, (interrupt) => {
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    // Once: a second one ends the process there and then, as it would without this.
    process.once(name, () => interrupt(128 + constants.signals[name]));
  }
});
const exitCode = await run(process.argv.slice(2), terminal);
// A program that it became has its own.
process.exitCode ??= exitCode;
