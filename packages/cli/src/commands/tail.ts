import { type Kind, TEXT, listOption, option } from '@chronicleweaver/terminal';
import { eventLine } from '../event-text.ts';
import { asTexts, connect, noteGaps, serviceCommand } from '../service.ts';
import type { Terminal } from '../terminal.ts';

/** `chronicleweaver tail`: the log as it is written, across restarts of the service. */
export function tailCommand(terminal: Terminal) {
  return serviceCommand('tail', 'Follow events live', [
    'tail',
    "tail --topic orders --topic 'users.*' --after earliest",
    'tail --json | jq .payload',
  ])
    .addOption(
      listOption(
        '--topic <pattern>',
        'only these topics: * matches a word between dots, > at the end all remaining words; may be repeated',
        TEXT,
      ),
    )
    .addOption(option('--after <offset>', 'only events after this offset', OFFSET).default('latest'))
    .action(async ({ topic, after, ...service }) => {
      const { signal } = terminal;
      const chronicle = connect(service, {
        onRetry: ({ error, attempts }) => {
          if (attempts === 1) terminal.note(`chronicleweaver: ${error.message}; connecting again`);
        },
      });
      // A stream waits for a service for as long as it takes; this check reports that there is none at all.
      await chronicle.request('GET', '/health', { signal });
      const options = { signal, onGap: noteGaps(terminal) };
      for await (const event of asTexts(chronicle.subscribe({ topics: topic, after }, options))) {
        await terminal.line(service.json ? event.text : eventLine(terminal, event));
      }
    });
}

const OFFSET: Kind<number | 'earliest' | 'latest'> = {
  takes: 'an offset, earliest or latest',
  read(text) {
    if (text === 'earliest' || text === 'latest') return text;
    return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  },
};
