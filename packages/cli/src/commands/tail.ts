import { InvalidArgumentError } from '@commander-js/extra-typings';
import { eventLine } from '../event-text.ts';
import { asTexts, connect, serviceCommand } from '../service.ts';
import type { Terminal } from '../terminal.ts';

/** `chronicleweaver tail`: the log as it is written, over restarts of the service. */
export function tailCommand(terminal: Terminal) {
  return serviceCommand('tail', 'Follow events live', [
    'tail',
    "tail --topic orders --topic 'users.*' --after earliest",
    'tail --json | jq .payload',
  ])
    .option(
      '--topic <pattern>',
      'only such topics: * takes a word between dots, > at the end all that is left; may be given several times',
      (pattern: string, others: readonly string[] | undefined) => [...(others ?? []), pattern],
    )
    .option(
      '--after <offset>',
      'an offset, earliest or latest: events behind it',
      readAfter,
      'latest' as const,
    )
    .action(async ({ topic, after, ...service }) => {
      const { signal } = terminal;
      const chronicle = connect(service, {
        onRetry: ({ error, attempts }) => {
          if (attempts === 1) terminal.note(`chronicleweaver: ${error.message}; connecting again`);
        },
      });
      // A stream waits for a service for as long as it takes; that there never was one is worth a word.
      await chronicle.request('GET', '/health', { signal });
      for await (const event of asTexts(chronicle.subscribe({ topics: topic, after }, { signal }))) {
        await terminal.line(service.json ? event.text : eventLine(terminal, event));
      }
    });
}

function readAfter(text: string): number | 'earliest' | 'latest' {
  if (text === 'earliest' || text === 'latest') return text;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It takes an offset, earliest or latest.');
}
