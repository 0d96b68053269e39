import cliProgress from 'cli-progress';
import type { Options } from './options.ts';
import type { Report } from './report.ts';

/** Shows on stderr how far a run is. */
export interface Progress {
  advance(report: Report): void;
  stop(): void;
}

/** A bar on a terminal; elsewhere a line now and then. */
export function createProgress(options: Options): Progress {
  return process.stderr.isTTY ? createBar(options) : createLines(options);
}

function createBar(options: Options): Progress {
  const bar = new cliProgress.SingleBar({
    format: 'torture {bar} {percentage}% | {kills} kills | round {round} | {events} events accepted',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 25,
    // Signals end the process at once; there must be nothing to put right.
    hideCursor: false,
    gracefulExit: false,
    stream: process.stderr,
  });
  bar.start(1000, 0, { kills: 0, round: 0, events: 0 });
  return {
    advance(report) {
      const { kills, rounds, answers } = report;
      bar.update(Math.round(1000 * shareDone(options, report)), {
        kills,
        round: rounds,
        events: answers.accepted,
      });
    },
    stop() {
      bar.stop();
    },
  };
}

const LINE_INTERVAL_MS = 10_000;

function createLines(options: Options): Progress {
  let shownMs = performance.now();
  return {
    advance(report) {
      if (performance.now() - shownMs < LINE_INTERVAL_MS) return;
      shownMs = performance.now();
      const percent = Math.floor(100 * shareDone(options, report));
      process.stderr.write(
        `torture: ${percent} %, ${report.kills} kills, round ${report.rounds}, ` +
          `${report.answers.accepted} events accepted\n`,
      );
    },
    stop() {},
  };
}

function shareDone(options: Options, { minutes, kills }: Report): number {
  return Math.min(1, Math.max(minutes / options.minutes, kills / options.kills));
}
