import { Stopped } from '@chronicleweaver/terminal';
import { type EventText, eventPage } from '../event-text.ts';
import { connect, serviceCommand } from '../service.ts';
import type { Terminal } from '../terminal.ts';

/** `chronicleweaver find`: was this event processed? The exit code answers it, too. */
export function findCommand(terminal: Terminal) {
  return serviceCommand('find', 'Print the event of a topic under an id', ['find orders order-4711-placed'], {
    0: 'it is there',
    1: 'it is not there, or could not be looked for: stderr says which',
  })
    .argument('<topic>')
    .argument('<event_id>')
    .action(async (topic, eventId, options) => {
      const found = await connect(options).find(topic, eventId, { signal: terminal.signal });
      if (found === undefined) {
        const message = `topic ${JSON.stringify(topic)} has no event ${JSON.stringify(eventId)}`;
        terminal.note(
          options.json
            ? JSON.stringify({ error: { code: 'event_not_found', message } })
            : `chronicleweaver: ${message}`,
        );
        throw new Stopped(1);
      }
      const event = found as unknown as EventText;
      await terminal.line(options.json ? event.text : eventPage(event));
    });
}
