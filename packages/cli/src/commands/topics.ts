import { connect, serviceCommand } from '../service.ts';
import { type Terminal, harmless } from '../terminal.ts';

const HEAD = ['TOPIC', 'EVENTS', 'EXPIRED', 'FIRST OFFSET', 'LAST OFFSET', 'BYTES'];

/** `chronicleweaver topics` */
export function topicsCommand(terminal: Terminal) {
  return serviceCommand('topics', 'List topics with their counts', ['topics']).action(async (options) => {
    const topics = await connect(options).topics({ signal: terminal.signal });
    if (options.json) return terminal.line(JSON.stringify(topics));
    const rows = topics.map(({ topic, events, expired, first_offset, last_offset, bytes }) => {
      return [harmless(topic), events, expired, first_offset ?? '-', last_offset, bytes];
    });
    await terminal.table(HEAD, rows);
  });
}
