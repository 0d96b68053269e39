import { setTimeout as sleep } from 'node:timers/promises';
import type { ChronicleWeaver } from '@chronicleweaver/client';
import {
  BYTE_SIZE_EXPECTED,
  DURATION_EXPECTED,
  parseByteSize,
  parseDuration,
} from '@chronicleweaver/protocol';
import { type Kind, Stopped, TEXT, listOption, oneOf, option, wholeNumber } from '@chronicleweaver/terminal';
import { Batches } from '../pipe/batches.ts';
import { CommandTarget } from '../pipe/command-target.ts';
import { FileTarget } from '../pipe/file-target.ts';
import { HttpTarget } from '../pipe/http-target.ts';
import { StdoutTarget } from '../pipe/stdout-target.ts';
import { type Note, type PipedEvent, Refused, type Target, offsetIn } from '../pipe/target.ts';
import { connect, serviceCommand, textOf } from '../service.ts';
import { type Terminal, harmless } from '../terminal.ts';

const MORE = `
Events are handed over in batches, one per line as JSON, digit for digit as they were published, and acknowledged only
after that: whatever happens to the pipe, none is lost. It goes on until SIGINT or SIGTERM, finishes what is under way,
and goes on where it was when it is started again. With --until-now it ends by itself, as a job that runs each night does,
once whatever was stored before it began is acknowledged or dead.

--exec CMD     runs CMD in a shell for each batch, which is its standard input. Exit 0 acknowledges the batch. Exit 75
               (EX_TEMPFAIL) means that nothing can be done at present: the batch waits, and CMD is run again. 126 and 127
               mean that CMD cannot be run, and end the pipe. After any other end the events are given back: each is
               delivered again later, alone, and is dead after the group's max_deliveries (\`groups dead\`, \`groups replay\`).
--to file      appends to the file, and syncs it before it acknowledges. Each event is in the files once, also after a
               kill: what a file has is not written again, and half a line at its end is cut off. One pipe writes a file;
               a second one is refused. A full disk is waited for. Events are in order, but what a killed pipe had in
               hand comes after its lease, behind newer ones. Full files are named after their offsets, as in
               events.0000000000000001-0000000000004711.ndjson, and are looked into while they stay where they are.
--to http      posts application/x-ndjson. A 2xx acknowledges the batch. No answer, 408, 425, 429 and 5xx: the batch is sent
               again, after what Retry-After says. 400, 409, 413 and 422: the events are given back, as above. Anything else
               ends the pipe. If an answer was lost the receiver gets events again: the same lines under the same
               Idempotency-Key, and each event with the same offset.
--to stdout    writes and flushes. What is in a pipe when its reader dies is lost to it.

With --exec, http and stdout events can come again after a kill; offset, or topic and event_id, tell them apart.`;

/** `chronicleweaver pipe`: what a group delivers, handed over to something else. */
export function pipeCommand(terminal: Terminal) {
  return serviceCommand(
    'pipe',
    'Hand the events of a group over to a command, files or another service',
    [
      'pipe --group archive --to file /var/log/events.ndjson --rotate-every 1d --rotate-size 1GB',
      'pipe --group loader --exec \'psql -c "copy events from stdin"\'',
      "pipe --group mirror --exec 'chronicleweaver publish --stored --url http://other:8000'",
      'pipe --group search --to http https://search.example.org/bulk',
      'pipe --group shop --to stdout --until-now | jq .payload',
    ],
    {
      0: 'stopped by SIGINT or SIGTERM, all is done that --until-now means, or whoever read the output has left',
      1: 'it cannot go on: stderr says why. What was not acknowledged is delivered again',
      endsBySignal: true,
    },
  )
    .argument('[place]', 'with --to file its path, with --to http the address')
    .addOption(
      option(
        '--group <name>',
        'whose events; pipes of the same group share them',
        TEXT,
      ).makeOptionMandatory(),
    )
    .addOption(option('--exec <command>', 'run this for each batch', TEXT))
    .addOption(option('--to <target>', 'or hand over to this', oneOf(TARGETS)))
    .addOption(
      option('--batch <count>', 'hand over at most this many at once', wholeNumber(1, 1000)).default(100),
    )
    .option('--until-now', 'end once all that is stored by now is handed over, or dead')
    .addOption(
      option(
        '--timeout <duration>',
        'what a command (no end) or an answer (30s) may take, at most 24d',
        DURATION,
      ),
    )
    .addOption(
      listOption('--header <line>', "a header of --to http, as 'name: value'; may be repeated", HEADER),
    )
    .addOption(
      option(
        '--bearer <token>',
        'a token for --to http; better in the environment, where nobody else sees it',
        { ...TEXT, isSecret: true },
        'CHRONICLEWEAVER_PIPE_BEARER',
      ),
    )
    .addOption(option('--rotate-size <size>', 'a new file before one has more than this', SIZE))
    .addOption(option('--rotate-every <duration>', 'a new file each hour (1h) or day (1d) in UTC', DURATION))
    .addOption(option('--keep <count>', 'keep so many full files; all if left out', wholeNumber(1)))
    .addHelpText('after', MORE)
    .action(async (place, options) => {
      const note: Note = (text) => terminal.note(`chronicleweaver: ${harmless(text)}`);
      const broken = new AbortController();
      const fail = (error: unknown): void => broken.abort(error);
      const { signal } = terminal;
      const target = await targetOf(place, options, { terminal, note, fail });
      try {
        await pipe(target, options, AbortSignal.any([signal, broken.signal]), note, fail);
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        await target.close();
      }
      broken.signal.throwIfAborted();
      if (!signal.aborted) return;
      // A signal is how it ends, and a reader that leaves ends it as well.
      throw signal.reason instanceof Stopped ? new Stopped(0) : signal.reason;
    });
}

const TARGETS = ['file', 'http', 'stdout'] as const;

interface PipeOptions {
  readonly url: string;
  readonly key?: string | undefined;
  readonly group: string;
  readonly exec?: string | undefined;
  readonly to?: (typeof TARGETS)[number] | undefined;
  readonly batch: number;
  readonly untilNow?: boolean | undefined;
  readonly timeout?: number | undefined;
  readonly header?: [string, string][] | undefined;
  readonly bearer?: string | undefined;
  readonly rotateSize?: number | undefined;
  readonly rotateEvery?: number | undefined;
  readonly keep?: number | undefined;
}

interface Surroundings {
  readonly terminal: Terminal;
  readonly note: Note;
  readonly fail: (error: unknown) => void;
}

const ANSWER_MS = 30_000;

/** 24 days: a timer of more than 2^31 ms would fire at once. */
const TIMEOUT_MS_MAX = 24 * 86_400_000;

/** With --until-now, how long after a look at the group the next one follows. */
const LOOK_AGAIN_MS = 500;

async function targetOf(
  place: string | undefined,
  options: PipeOptions,
  { terminal, note, fail }: Surroundings,
): Promise<Target> {
  const { exec, to, rotateSize, rotateEvery, keep, header = [], bearer } = options;
  const timeout = options.timeout && Math.min(options.timeout, TIMEOUT_MS_MAX);
  if ((exec === undefined) === (to === undefined)) {
    throw new Stopped(2, 'pipe takes either --exec or --to; see --help');
  }
  const needsPlace = to === 'file' || to === 'http';
  if (needsPlace !== (place !== undefined)) {
    const what = to === 'file' ? 'the path of a file' : to === 'http' ? 'an address' : 'nothing';
    throw new Stopped(
      2,
      `pipe takes ${what} after ${to === undefined ? '--exec' : `--to ${to}`}; see --help`,
    );
  }
  const isMeant = {
    '--timeout': timeout === undefined || exec !== undefined || to === 'http',
    '--header': header.length === 0 || to === 'http',
    '--rotate-size': rotateSize === undefined || to === 'file',
    '--rotate-every': rotateEvery === undefined || to === 'file',
    '--keep': keep === undefined || (to === 'file' && (rotateSize ?? rotateEvery) !== undefined),
  };
  for (const [name, isRight] of Object.entries(isMeant)) {
    if (!isRight) throw new Stopped(2, `${name} means nothing here; see --help`);
  }
  if (exec !== undefined) return new CommandTarget(exec, timeout, note);
  if (to === 'stdout') return new StdoutTarget(terminal);
  if (to === 'http') {
    const headers = new Headers(header);
    if (bearer) headers.set('authorization', `Bearer ${bearer}`);
    return new HttpTarget(addressIn(place!), headers, timeout ?? ANSWER_MS, note);
  }
  const rotation = {
    bytesMax: rotateSize ?? Infinity,
    periodMs: rotateEvery ?? Infinity,
    filesKept: keep ?? Infinity,
  };
  return FileTarget.open(place!, rotation, note, fail);
}

async function pipe(
  target: Target,
  { group, batch, untilNow = false, ...service }: PipeOptions,
  stopped: AbortSignal,
  note: Note,
  fail: (error: unknown) => void,
): Promise<void> {
  const chronicle = connect(service, {
    onRetry: ({ error, attempts }) => {
      if (attempts === 1) note(`${error.message}; connecting again`);
    },
  });
  // The rest waits for a service for as long as it takes; this says that there is none at all, or no such group.
  await chronicle.groups.get(group, { signal: stopped });
  const ended = new AbortController();
  const stop = AbortSignal.any([stopped, ended.signal]);
  const end = (): void => ended.abort();
  const watching = untilNow ? doneUpToNow(chronicle, group, stop).then(end, fail) : undefined;
  const batches = new Batches(target, batch, stop, fail);
  let told: unknown;
  const consuming = chronicle.consume(group, (event, { signal }) => batches.add(pipedOf(event), signal), {
    // While one batch is under way the next one gathers.
    concurrency: 2 * batch,
    signal: stop,
    onError(error) {
      // Each event of a batch comes with the same error, and one that stops the pipe is told at its end.
      if (error === told || stop.reason === error) return;
      told = error;
      note(
        error instanceof Refused ? `${error.message}; its events are given back` : (error as Error).message,
      );
    },
  });
  await consuming.finally(end);
  await watching;
}

/** Resolves once the group has settled all events that were stored when it was called, or the signal fires. */
async function doneUpToNow(chronicle: ChronicleWeaver, group: string, stop: AbortSignal): Promise<void> {
  const options = { signal: stop, retryMs: Infinity };
  try {
    const { last_offset: last } = await chronicle.stats(options);
    for (;;) {
      const { cursor, lag } = await chronicle.groups.get(group, options);
      // While others publish there may always be some that are left; and the cursor may stay below events on other topics.
      if (cursor >= last || lag === 0) return;
      await sleep(LOOK_AGAIN_MS, undefined, { signal: stop });
    }
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}

function pipedOf(event: { readonly delivery: number }): PipedEvent {
  const { text } = textOf(event);
  const offset = offsetIn(text);
  if (offset === undefined) throw new Error(`an event without an offset: ${text.slice(-200)}`);
  return { text, offset, delivery: event.delivery };
}

function addressIn(text: string): string {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '') return text;
  throw new Stopped(
    2,
    `--to http takes an address such as https://example.org/events, not ${JSON.stringify(text)}`,
  );
}

const DURATION: Kind<number> = { takes: DURATION_EXPECTED, read: parseDuration };
const SIZE: Kind<number> = { takes: BYTE_SIZE_EXPECTED, read: parseByteSize };

const HEADER: Kind<[string, string]> = {
  takes: "a header such as 'x-tenant: shop'",
  isSecret: true,
  read(text) {
    const [, name, value] = /^([\w-]+):\s*(.*)$/.exec(text) ?? [];
    return name === undefined || value === undefined ? undefined : [name, value];
  },
};
