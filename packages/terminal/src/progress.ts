import cliProgress from 'cli-progress';

/** Shows how far some work is. Each call gives the total so far, not the change. */
export interface Progress {
  /** @param note a few more words about it */
  advance(done: number, note?: string): void;
  /** Shows something that happened on the way, such as a retry. */
  note(text: string): void;
  /** Leaves the terminal as it was; nothing is shown after. */
  stop(): void;
}

/** The work: "publishing" 5000 "events". */
export interface Work {
  readonly what: string;
  readonly total: number;
  readonly unit: string;
  /** Whether to show how many units are done per second. */
  readonly hasRate?: boolean;
}

type Stream = NodeJS.WritableStream & { isTTY?: boolean };

/**
 * Shows progress on standard error: a bar on a terminal; elsewhere, as in the log of a container, a line now and then,
 * and none where the work is short.
 */
export function createProgress(work: Work, stream: Stream = process.stderr): Progress {
  return stream.isTTY === true ? createBar(work, stream) : createLines(work, stream);
}

function createBar({ what, total, unit, hasRate = true }: Work, stream: Stream): Progress {
  const startMs = performance.now();
  let said = '';
  const bar = new cliProgress.SingleBar({
    format: `${what} {bar} {percentage}% | {value}/{total} ${unit}{rate}{said}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 25,
    // The program handles signals, and if one ends it at once, there is nothing to restore on the terminal.
    hideCursor: false,
    gracefulExit: false,
    stream,
  });
  bar.start(total, 0, { rate: '', said });
  const say = (text: string): string => (said = text === '' ? said : ` | ${text}`);
  return {
    advance(done, note = '') {
      const perSecond = Math.round((done * 1000) / (performance.now() - startMs));
      const rate = hasRate ? ` | ${perSecond} ${unit}/s` : '';
      bar.update(Math.min(total, Math.round(done)), { rate, said: say(note) });
    },
    note(text) {
      bar.update({ said: say(text) });
    },
    stop() {
      bar.stop();
    },
  };
}

const LINE_INTERVAL_MS = 5000;

/** A line for another percent every five seconds at most, and for what happens on the way at once, then as rarely. */
function createLines({ what, total, unit }: Work, stream: Stream): Progress {
  let advancedMs = performance.now();
  let shownPercent = 0;
  let notedMs = Number.NEGATIVE_INFINITY;
  const isDue = (lastMs: number): boolean => performance.now() - lastMs >= LINE_INTERVAL_MS;
  const show = (line: string): void => void stream.write(`${what}: ${line}\n`);
  return {
    advance(done, note = '') {
      const percent = Math.floor((done * 100) / total);
      if (!isDue(advancedMs) || percent === shownPercent || done >= total) return;
      advancedMs = performance.now();
      shownPercent = percent;
      show(`${Math.round(done)} of ${total} ${unit} (${percent} %)${note === '' ? '' : `, ${note}`}`);
    },
    note(text) {
      if (!isDue(notedMs)) return;
      notedMs = performance.now();
      show(text);
    },
    stop() {},
  };
}
