import { ChronicleWeaver, type ClientOptions, type Gap } from '@chronicleweaver/client';
import { Command, type ExitCodes, type Kind, TEXT, exitCodesText, option } from '@chronicleweaver/terminal';
import type { EventText } from './event-text.ts';
import type { Terminal } from './terminal.ts';

/** Options of every command that talks to a service. */
export interface ServiceOptions {
  readonly url: string;
  readonly key?: string | undefined;
  readonly json?: true | undefined;
}

const DEFAULT_URL = 'http://localhost:8000';

/** The meaning of exit codes, unless a command has its own. */
const EXIT_CODES: ExitCodes = {
  0: 'done; also where whoever read the output has left',
  1: 'failed: stderr says why',
};

/** A command that talks to a service. `examples` are command lines without the program's name. */
export function serviceCommand(
  name: string,
  summary: string,
  examples: readonly string[],
  exitCodes = EXIT_CODES,
) {
  return new Command(name)
    .summary(summary)
    .description(`${summary}.`)
    .addOption(
      option('--url <url>', 'where the service is', ADDRESS, 'CHRONICLEWEAVER_URL').default(DEFAULT_URL),
    )
    .addOption(
      option(
        '--key <secret>',
        'an API key; better in the environment, where nobody else sees it',
        TEXT,
        'CHRONICLEWEAVER_KEY',
      ),
    )
    .option('--json', 'JSON, for programs')
    .addHelpText('after', examplesText(examples))
    .addHelpText('after', exitCodesText(exitCodes));
}

export function examplesText(examples: readonly string[]): string {
  return ['\nExamples:', ...examples.map((example) => `  $ chronicleweaver ${example}`)].join('\n');
}

/** A client that returns events as the text that arrived. */
export function connect({ url, key }: ServiceOptions, more: Partial<ClientOptions> = {}): ChronicleWeaver {
  return new ChronicleWeaver({
    url,
    key: key === '' ? undefined : key,
    // At a terminal people prefer an error to a wait; commands that do wait say so.
    retryMs: 0,
    parse: (text) => ({ text }) as never,
    ...more,
  });
}

/** Says on standard error where events were passed over that are no longer kept. */
export function noteGaps(terminal: Terminal) {
  return ({ expired, after = 0, next }: Gap): void => {
    const where = next === undefined ? `beyond offset ${after}` : `between the offsets ${after} and ${next}`;
    const events = expired === 1 ? '1 event is' : `${expired} events are`;
    terminal.note(`chronicleweaver: ${events} no longer kept ${where}`);
  };
}

/** An event as `connect`'s client returns it. */
export function textOf(event: unknown): EventText {
  return event as EventText;
}

/** The events as `connect`'s client returns them. */
export function asTexts(events: AsyncIterable<unknown>): AsyncIterable<EventText> {
  return events as AsyncIterable<EventText>;
}

const ADDRESS: Kind<string> = {
  takes: `an address such as ${DEFAULT_URL}`,
  read(text) {
    const url = URL.parse(text);
    const isPlain = url !== null && url.username === '' && url.search === '';
    return isPlain && /^https?:$/.test(url.protocol) ? text : undefined;
  },
};
