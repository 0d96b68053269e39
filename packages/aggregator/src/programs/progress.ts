import cliProgress from 'cli-progress';

/** How far one step is; each call says how things stand in all. */
export interface Progress {
  advance(done: number): void;
  /** Leaves the terminal as it was; nothing is shown after. */
  stop(): void;
}

/**
 * Shows on standard error how far a step is: a bar on a terminal, elsewhere a line every five seconds, none where the
 * step is shorter. `what` and `unit` are words such as "copying" and "bytes".
 */
export function createProgress(what: string, total: number, unit: string): Progress {
  return process.stderr.isTTY ? createBar(what, total, unit) : createLines(what, total, unit);
}

function createBar(what: string, total: number, unit: string): Progress {
  const startMs = performance.now();
  const bar = new cliProgress.SingleBar({
    format: `${what} {bar} {percentage}% | {value}/{total} ${unit} | {rate} ${unit}/s`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 25,
    // Signals are for whoever shows it, and where they end the process at once there is nothing to put right.
    hideCursor: false,
    gracefulExit: false,
    stream: process.stderr,
  });
  bar.start(total, 0, { rate: 0 });
  return {
    advance(done) {
      bar.update(Math.round(done), { rate: Math.round((done * 1000) / (performance.now() - startMs)) });
    },
    stop() {
      bar.stop();
    },
  };
}

const LINE_INTERVAL_MS = 5000;

function createLines(what: string, total: number, unit: string): Progress {
  let shownMs = performance.now();
  return {
    advance(done) {
      if (performance.now() - shownMs < LINE_INTERVAL_MS || done >= total) return;
      shownMs = performance.now();
      const percent = Math.floor((done * 100) / total);
      process.stderr.write(`${what}: ${Math.round(done)} of ${total} ${unit} (${percent} %)\n`);
    },
    stop() {},
  };
}
