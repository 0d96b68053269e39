import cliProgress from 'cli-progress';

/** Says on stderr what is being done. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** How far one step is; each call says how things stand in all. */
export interface Progress {
  advance(done: number): void;
  stop(): void;
}

/** A bar on a terminal; elsewhere a line now and then, none where the step is short. */
export function createProgress(what: string, total: number): Progress {
  return process.stderr.isTTY ? createBar(what, total) : createLines(what, total);
}

function createBar(what: string, total: number): Progress {
  const startMs = performance.now();
  const bar = new cliProgress.SingleBar({
    format: `${what} {bar} {percentage}% | {value}/{total} keys | {rate} keys/s`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 25,
    // Signals end the process at once; there must be nothing to put right.
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

function createLines(what: string, total: number): Progress {
  let shownMs = performance.now();
  return {
    advance(done) {
      if (performance.now() - shownMs < LINE_INTERVAL_MS || done >= total) return;
      shownMs = performance.now();
      say(`${what}: ${Math.round(done)} of ${total} keys (${Math.floor((done * 100) / total)} %)`);
    },
    stop() {},
  };
}
