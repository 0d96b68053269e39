import cliProgress from 'cli-progress';

/** Shows how far a run is. Each call says how things stand in all, not what has changed. */
export interface Progress {
  advance(answered: number): void;
  retrying(reason: string, retries: number): void;
  /** Leaves the terminal as it was; nothing is shown after. */
  stop(): void;
}

/** A bar on a terminal; elsewhere, as in a container's log, a line now and then. `total` is in events. */
export function createProgress(total: number, stream: NodeJS.WritableStream & { isTTY?: boolean }): Progress {
  return stream.isTTY === true ? createBar(total, stream) : createLines(total, stream);
}

function createBar(total: number, stream: NodeJS.WritableStream): Progress {
  const start = performance.now();
  const bar = new cliProgress.SingleBar({
    format: '{bar} {percentage}% | {value}/{total} events | {rate} events/s | retries: {retries}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 25,
    hideCursor: true,
    // Signals are main's to handle; it stops the bar on its way out.
    gracefulExit: false,
    stream,
  });
  bar.start(total, 0, { rate: 0, retries: 0 });
  return {
    advance(answered) {
      bar.update(answered, { rate: Math.round((answered * 1000) / (performance.now() - start)) });
    },
    retrying(reason, retries) {
      bar.update({ retries: `${retries}, ${reason}` });
    },
    stop() {
      bar.stop();
    },
  };
}

const LINE_INTERVAL_MS = 1000;
const LINE_STEP_PERCENT = 10;

/** At most one line a second, for every tenth of the way or a retry, and the last one always. */
function createLines(total: number, stream: NodeJS.WritableStream): Progress {
  let shownMs = Number.NEGATIVE_INFINITY;
  let shownPercent = 0;
  const show = (line: string): void => {
    shownMs = performance.now();
    stream.write(`${line}\n`);
  };
  const quiet = (): boolean => performance.now() - shownMs >= LINE_INTERVAL_MS;
  return {
    advance(answered) {
      const percent = Math.floor((answered * 100) / total);
      const due = percent >= shownPercent + LINE_STEP_PERCENT && quiet();
      if (!due && answered < total) return;
      shownPercent = percent;
      show(`published ${answered} of ${total} events (${percent} %)`);
    },
    retrying(reason, retries) {
      if (quiet()) show(`retry ${retries}: ${reason}`);
    },
    stop() {},
  };
}
