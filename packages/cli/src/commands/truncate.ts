import { pathOf } from '@chronicleweaver/client';
import { YES, confirm } from '../confirm.ts';
import { connect, serviceCommand } from '../service.ts';
import { type Terminal, eventsText, harmless } from '../terminal.ts';

interface Truncated {
  readonly events: number;
  readonly bytes: number;
  readonly first_offset: number | null;
}

/** Millions of events take a while; a request that is cut off may be sent again. */
const REQUEST_MS = 3_600_000;

/** `chronicleweaver truncate`: lets go of the beginning of a topic. */
export function truncateCommand(terminal: Terminal) {
  return serviceCommand('truncate', 'Let go of the events of a topic before an offset or a time', [
    'truncate orders 4711',
    'truncate orders 2025-10-28T10:00:00Z --yes',
  ])
    .argument('<topic>')
    .argument('<before>', 'an offset or a time: the event at that place stays')
    .option(...YES)
    .addHelpText(
      'after',
      '\nTheir ids stay known. Groups that have not finished them do not get them any more.',
    )
    .action(async (topic, before, { yes, ...service }) => {
      const what = `the events of topic ${JSON.stringify(topic)} before ${before}`;
      await confirm(terminal, harmless(`Let go of ${what} for good?`), yes);
      const options = { query: { before }, requestMs: REQUEST_MS, signal: terminal.signal };
      const done = await connect(service).request('DELETE', `/topics${pathOf(topic)}`, options);
      if (service.json) return terminal.line(JSON.stringify(done));
      const { events, bytes, first_offset } = done as Truncated;
      const first = first_offset === null ? 'nothing is kept' : `the first that is kept is ${first_offset}`;
      await terminal.line(
        `${eventsText(events)} (${bytes} bytes) ${events === 1 ? 'has' : 'have'} expired; ${first}`,
      );
    });
}
