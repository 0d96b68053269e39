import { connect, serviceCommand } from '../service.ts';
import { type Terminal, columns, harmless } from '../terminal.ts';

/** `chronicleweaver topics` */
export function topicsCommand(terminal: Terminal) {
  return serviceCommand('topics', 'List topics with their counts', ['topics']).action(async (options) => {
    const topics = await connect(options).topics({ signal: terminal.signal });
    if (options.json) return terminal.line(JSON.stringify(topics));
    const rows = topics.map(({ topic, events, last_offset }) => [harmless(topic), events, last_offset]);
    const [head, ...lines] = columns([['TOPIC', 'EVENTS', 'LAST OFFSET'], ...rows]);
    await terminal.line(terminal.style('bold', head!));
    for (const line of lines) await terminal.line(line);
  });
}
