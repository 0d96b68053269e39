import { oneOf, option, wholeNumber } from '@chronicleweaver/terminal';
import { eventLine } from '../event-text.ts';
import { asTexts, connect, noteGaps, serviceCommand } from '../service.ts';
import type { Terminal } from '../terminal.ts';

/** `chronicleweaver events`: the stored events, a page at a time, so that any amount fits through a pipe. */
export function eventsCommand(terminal: Terminal) {
  return serviceCommand('events', 'Print stored events', [
    'events --topic orders --order desc --limit 10',
    'events --from 2025-10-28 --to 2025-10-29 --json > day.ndjson',
  ])
    .option('--topic <topic>', 'only this topic')
    .option('--source <source>', 'only from this source')
    .option('--from <time>', 'only with a timestamp at or after this one, ISO 8601')
    .option('--to <time>', 'only with a timestamp before this one')
    .addOption(option('--after <offset>', 'only after this offset, in the requested order', wholeNumber(0)))
    .addOption(option('--order <order>', 'by offset', oneOf(['asc', 'desc'])).default('asc'))
    .addOption(option('--limit <count>', 'at most this many', wholeNumber(1)))
    .action(async ({ topic, source, from, to, after, order, limit, ...service }) => {
      const { signal } = terminal;
      const query = { topic, source, from, to, after, order, limit };
      const options = { signal, onGap: noteGaps(terminal) };
      for await (const event of asTexts(connect(service).read(query, options))) {
        await terminal.line(service.json ? event.text : eventLine(terminal, event));
      }
    });
}
