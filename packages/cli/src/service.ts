import { Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { ChronicleWeaver, type ClientOptions } from '@chronicleweaver/client';
import type { EventText } from './event-text.ts';

/** What every command that speaks with a service takes. */
export interface ServiceOptions {
  readonly url: string;
  readonly key?: string | undefined;
  readonly json?: true | undefined;
}

const DEFAULT_URL = 'http://localhost:8000';

/** A command that speaks with a service. `examples` are command lines without the program's name. */
export function serviceCommand(name: string, summary: string, examples: readonly string[]) {
  return new Command(name)
    .summary(summary)
    .description(`${summary}.`)
    .addOption(
      new Option('--url <url>', 'where the service is')
        .env('CHRONICLEWEAVER_URL')
        .default(DEFAULT_URL)
        .argParser(readUrl),
    )
    .addOption(
      new Option('--key <secret>', 'an API key; better in the environment, where nobody else sees it').env(
        'CHRONICLEWEAVER_KEY',
      ),
    )
    .option('--json', 'JSON, for programs')
    .addHelpText('after', examplesText(examples));
}

export function examplesText(examples: readonly string[]): string {
  return `\nExamples:\n${examples.map((example) => `  $ chronicleweaver ${example}\n`).join('')}`;
}

/** A client that gives events as their text came. */
export function connect({ url, key }: ServiceOptions, more: Partial<ClientOptions> = {}): ChronicleWeaver {
  return new ChronicleWeaver({
    url,
    key: key === '' ? undefined : key,
    // Who waits at a terminal would rather be told than wait; commands that do wait say so.
    retryMs: 0,
    parse: (text) => ({ text }) as never,
    ...more,
  });
}

/** What `connect`'s client reads. */
export function asTexts(events: AsyncIterable<unknown>): AsyncIterable<EventText> {
  return events as AsyncIterable<EventText>;
}

/** A whole number from `min` on, for an option. */
export function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (number >= min) return number;
    throw new InvalidArgumentError(`It takes a whole number from ${min} on.`);
  };
}

function readUrl(text: string): string {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.search === '') return text;
  throw new InvalidArgumentError(`It takes an address such as ${DEFAULT_URL}.`);
}
