import { createReadStream, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { type Readable, addAbortSignal } from 'node:stream';
import { type ChronicleWeaver, type EventResult, ProblemError } from '@chronicleweaver/client';
import { type Progress, Stopped, createProgress, option, wholeNumber } from '@chronicleweaver/terminal';
import { type Defaults, type Line, LineError, eventTextOf, linesOf } from '../json-lines.ts';
import { connect, serviceCommand } from '../service.ts';
import { type Terminal, harmless } from '../terminal.ts';

const MORE = `
Each line is an event as a JSON object. Missing members are added: event_id is a random UUID, timestamp is now,
topic and source come from the options. Everything else is sent as it is, digit for digit. If the lines have ids and
timestamps of their own, the same input may be published again after any failure: each event is stored once.
A line that is not stored, because it is invalid or conflicts with a stored event, is named on stderr.`;

/** `chronicleweaver publish`: a file or stdin, in constant memory. */
export function publishCommand(terminal: Terminal) {
  return serviceCommand(
    'publish',
    'Publish events from a file or stdin, one a line',
    [
      'publish events.ndjson',
      'publish --topic orders --payloads < payloads.ndjson',
      'events --json | chronicleweaver publish --stored --url http://other:8000',
    ],
    {
      0: 'each line is stored, now or before',
      1: 'some are not; stderr names each, or says why it could not continue',
    },
  )
    .argument('[file]', 'newline-delimited JSON; stdin if left out, or -', '-')
    .option('--topic <topic>', 'the topic of lines that have none')
    .option('--source <source>', 'the source of lines that have none; defaults to the name of this machine')
    .option('--payloads', 'each line is the payload of an event')
    .option(
      '--stored',
      'each line is an event as `events --json` prints it; its offset and received_at are dropped',
    )
    .option('--results', 'also print what became of each event')
    .addOption(option('--retry <seconds>', 'how long to retry a request', wholeNumber(0)).default(60))
    .addHelpText('after', MORE)
    .action(async (file, { topic, source, payloads, stored, results, retry, ...service }) => {
      const chronicle = connect(service, {
        retryMs: retry * 1000,
        // Four batches: enough to gather one while another is under way.
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
      const tell = tellerOf(terminal, { asJson: service.json === true, withResults: results === true });
      const publisher = new LinePublisher(chronicle, defaults, terminal, tell);
      const { counts } = publisher;
      try {
        await publisher.run(file);
      } catch (error) {
        if (service.json) terminal.write(`${JSON.stringify(counts)}\n`);
        else terminal.note(`stopped; so far ${summary(counts)}`);
        // For other commands a closed stdout is a normal end; here it leaves lines unpublished.
        throw error instanceof Stopped && error.exitCode === 0 ? new Stopped(1) : error;
      }
      const isStored = counts.failed === 0 && counts.conflicts === 0;
      // Not drained: the outcome of the lines matters more than whether anybody reads it.
      terminal.write(`${service.json ? JSON.stringify(counts) : summary(counts)}\n`);
      if (!isStored) throw new Stopped(1);
    });
}

/** Why a line is not stored. */
interface Fault {
  readonly code: string;
  readonly message: string;
}

interface Teller {
  result(line: Line, result: EventResult): void;
  fault(line: Line, fault: Fault): void;
}

/** Reports the outcome of each line: results on stdout if requested, faults on stderr. */
function tellerOf(
  terminal: Terminal,
  { asJson, withResults }: { readonly asJson: boolean; readonly withResults: boolean },
): Teller {
  const fault = ({ number }: Line, fault: object & Fault): void => {
    if (asJson) terminal.note(JSON.stringify({ error: { line: number, ...fault } }));
    else terminal.note(`line ${number}: ${harmless(fault.message)}`);
  };
  return {
    fault,
    result(line, result) {
      const { event_id, topic, verdict, offset } = result;
      if (withResults) {
        const text = `${verdict} ${offset} ${harmless(topic)} ${harmless(event_id)}`;
        terminal.write(`${asJson ? JSON.stringify({ line: line.number, ...result }) : text}\n`);
      }
      if (verdict !== 'conflict') return;
      const named = `event ${JSON.stringify(event_id)} of topic ${JSON.stringify(topic)}`;
      const message = `conflict: ${named} is stored with other content at offset ${offset}`;
      fault(line, { ...result, code: 'conflict', message });
    },
  };
}

interface Counts {
  /** Lines that were events. */
  events: number;
  accepted: number;
  /** Including conflicts, as on the wire. */
  duplicates: number;
  conflicts: number;
  /** Lines that are not stored. */
  failed: number;
}

/** Publishes an input line by line and reports what became of each line. */
class LinePublisher {
  readonly counts: Counts = { events: 0, accepted: 0, duplicates: 0, conflicts: 0, failed: 0 };
  readonly #chronicle: ChronicleWeaver;
  readonly #defaults: Defaults;
  readonly #terminal: Terminal;
  readonly #tell: Teller;
  /** An error that is not about a single line ends everything. */
  readonly #failure = new AbortController();
  readonly #underWay = new Set<Promise<void>>();

  constructor(chronicle: ChronicleWeaver, defaults: Defaults, terminal: Terminal, tell: Teller) {
    this.#chronicle = chronicle;
    this.#defaults = defaults;
    this.#terminal = terminal;
    this.#tell = tell;
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
      // An input ended by the signal throws an error of its own, which is not the reason.
      signal.throwIfAborted();
      throw error;
    } finally {
      // It fails only if the signal has fired, which is reported below.
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
      this.#tell.result(line, result);
    } catch (error) {
      const fault = faultOf(error);
      if (fault === undefined) {
        this.#failure.abort(error);
        return;
      }
      this.counts.failed++;
      this.#tell.fault(line, fault);
    }
  }
}

/** What is wrong with a line; undefined if the error is not about a single line. */
function faultOf(error: unknown): Fault | undefined {
  if (error instanceof LineError) return { code: 'invalid_line', message: error.message };
  // An error about one event is about one line; so is the refusal of a line that was sent alone.
  if (!(error instanceof ProblemError) || !(error.errors.length > 0 || error.status === 413))
    return undefined;
  const faults = error.errors.map(({ field, message }) =>
    field === null ? message : `${field}: ${message}`,
  );
  return { code: error.code, message: faults.length > 0 ? faults.join('; ') : error.detail };
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
