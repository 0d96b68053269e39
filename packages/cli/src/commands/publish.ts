import { createReadStream, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { type Readable, addAbortSignal } from 'node:stream';
import { type ChronicleWeaver, type EventResult, ProblemError } from '@chronicleweaver/client';
import { type Progress, Stopped, createProgress, option, wholeNumber } from '@chronicleweaver/terminal';
import { type Defaults, type Line, LineError, eventTextOf, linesOf } from '../json-lines.ts';
import { connect, serviceCommand } from '../service.ts';
import { type Terminal, harmless } from '../terminal.ts';

const MORE = `
Each line is an event as a JSON object. What it leaves out is added: event_id is a random UUID, timestamp is now,
topic and source are the options'. All that it has goes as it stands, digit for digit. Where the lines have ids and
timestamps of their own the same input may be published again after any failure: each event is stored once.

Exit code: 0 all are stored now, 1 some are not (each is named on stderr), 2 wrong usage.`;

/** `chronicleweaver publish`: a file or stdin, in constant memory. */
export function publishCommand(terminal: Terminal) {
  return serviceCommand('publish', 'Publish events from a file or stdin, one a line', [
    'publish events.ndjson',
    'publish --topic orders --payloads < payloads.ndjson',
    'events --json | chronicleweaver publish --stored --url http://other:8000',
  ])
    .argument('[file]', 'newline-delimited JSON; stdin where left out, or -', '-')
    .option('--topic <topic>', 'the topic of lines that have none')
    .option('--source <source>', 'the source of lines that have none; by default the name of this machine')
    .option('--payloads', 'each line is the payload of an event')
    .option(
      '--stored',
      'each line is an event as `events --json` prints it; its offset and received_at are left out',
    )
    .option('--results', 'print what became of each event, too')
    .addOption(option('--retry <seconds>', 'try a request again for so long', wholeNumber(0)).default(60))
    .addHelpText('after', MORE)
    .action(async (file, { topic, source, payloads, stored, results, retry, ...service }) => {
      const chronicle = connect(service, {
        retryMs: retry * 1000,
        // Four batches: enough to have one gathered while another is under way.
        bufferEventsMax: 2000,
        onRetry: ({ error, attempts }) => {
          if (attempts === 1) terminal.note(`chronicleweaver: ${error.message}; trying again`);
        },
      });
      const defaults = {
        topic,
        source: source ?? hostname(),
        isPayload: payloads === true,
        isStored: stored === true,
      };
      const print = (line: Line, result: EventResult): void => {
        if (results === undefined) return;
        const { event_id, topic, verdict, offset } = result;
        terminal.write(
          service.json
            ? `${JSON.stringify({ line: line.number, ...result })}\n`
            : `${verdict} ${offset} ${harmless(topic)} ${harmless(event_id)}\n`,
        );
      };
      const publisher = new LinePublisher(chronicle, defaults, terminal, print);
      try {
        await publisher.run(file);
      } catch (error) {
        if (error instanceof Stopped) terminal.note(`stopped; until then ${summary(publisher.counts)}`);
        throw error;
      }
      const { counts } = publisher;
      await terminal.line(service.json ? JSON.stringify(counts) : summary(counts));
      if (counts.failed > 0) throw new Stopped(1);
    });
}

interface Counts {
  /** Lines that were events. */
  events: number;
  accepted: number;
  /** Conflicts included, as on the wire. */
  duplicates: number;
  conflicts: number;
  /** Lines that are not stored. */
  failed: number;
}

/** Publishes an input line by line and tells what became of each. */
class LinePublisher {
  readonly counts: Counts = { events: 0, accepted: 0, duplicates: 0, conflicts: 0, failed: 0 };
  readonly #chronicle: ChronicleWeaver;
  readonly #defaults: Defaults;
  readonly #terminal: Terminal;
  readonly #print: (line: Line, result: EventResult) => void;
  /** Something that is not about one line ends it all. */
  readonly #failure = new AbortController();
  readonly #underWay = new Set<Promise<void>>();

  constructor(
    chronicle: ChronicleWeaver,
    defaults: Defaults,
    terminal: Terminal,
    print: (line: Line, result: EventResult) => void,
  ) {
    this.#chronicle = chronicle;
    this.#defaults = defaults;
    this.#terminal = terminal;
    this.#print = print;
  }

  async run(file: string): Promise<void> {
    const signal = AbortSignal.any([this.#terminal.signal, this.#failure.signal]);
    const input = addAbortSignal(signal, file === '-' ? this.#terminal.stdin : createReadStream(file));
    const progress =
      file === '-'
        ? undefined
        : createProgress({ what: 'publishing', total: statSync(file).size, unit: 'bytes' });
    try {
      for await (const line of linesOf(advancing(input, progress))) {
        await this.#chronicle.room({ signal });
        await this.#terminal.drained();
        const publishing = this.#publish(line, signal).finally(() => this.#underWay.delete(publishing));
        this.#underWay.add(publishing);
      }
    } catch (error) {
      // What the input says of its end by the signal is not why it ended.
      signal.throwIfAborted();
      throw error;
    } finally {
      // It fails only where the signal has fired, which is told below.
      await this.#chronicle.close({ signal }).catch(() => {});
      await Promise.all(this.#underWay);
      progress?.stop();
    }
    signal.throwIfAborted();
  }

  /** Never rejects. */
  async #publish(line: Line, signal: AbortSignal): Promise<void> {
    try {
      const result = await this.#chronicle.publish(eventTextOf(line, this.#defaults), { signal });
      this.counts.events++;
      this.counts[result.verdict === 'accepted' ? 'accepted' : 'duplicates']++;
      if (result.verdict === 'conflict') this.counts.conflicts++;
      this.#print(line, result);
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === undefined) {
        this.#failure.abort(error);
        return;
      }
      this.counts.failed++;
      this.#terminal.note(`line ${line.number}: ${harmless(reason)}`);
    }
  }
}

/** What is wrong with a line; undefined where it is not about one. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof LineError) return error.message;
  // Whatever the service says of one event is about one line; so is a refusal of a line that went alone.
  if (!(error instanceof ProblemError) || !(error.errors.length > 0 || error.status === 413))
    return undefined;
  const faults = error.errors.map(({ field, message }) =>
    field === null ? message : `${field}: ${message}`,
  );
  return faults.length > 0 ? faults.join('; ') : error.detail;
}

function summary({ events, accepted, duplicates, conflicts, failed }: Counts): string {
  const dropped = `${duplicates} ${duplicates === 1 ? 'duplicate' : 'duplicates'}, of these ${conflicts} conflicts`;
  return `${events} published: ${accepted} accepted, ${dropped}${failed === 0 ? '' : `; ${failed} failed`}`;
}

async function* advancing(input: Readable, progress: Progress | undefined): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of input as AsyncIterable<Uint8Array>) {
    yield chunk;
    bytes += chunk.length;
    progress?.advance(bytes);
  }
}
