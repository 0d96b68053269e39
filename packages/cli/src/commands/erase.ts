import { pathOf } from '@chronicleweaver/client';
import { YES, confirm } from '../confirm.ts';
import { connect, serviceCommand } from '../service.ts';
import { type Terminal, harmless } from '../terminal.ts';

interface Erased {
  readonly offset: number;
  readonly received_at: string;
  readonly was_kept: boolean;
  readonly forgotten: boolean;
}

/** `chronicleweaver erase`: removes one event for good. */
export function eraseCommand(terminal: Terminal) {
  return serviceCommand(
    'erase',
    'Erase one event for good; its id stays known unless it is to be forgotten',
    ['erase orders order-4711-placed', 'erase customers jane@example.com --forget --yes'],
  )
    .argument('<topic>')
    .argument('<event_id>')
    .option('--forget', 'forget the id, too: the next publish under it is accepted')
    .option(...YES)
    .addHelpText('after', '\nCopies made before, such as backups, still have the event.')
    .action(async (topic, eventId, { forget, yes, ...service }) => {
      const what = `${JSON.stringify(eventId)} of topic ${JSON.stringify(topic)}`;
      await confirm(terminal, harmless(`Erase ${what} for good?`), yes);
      const path = `/events${pathOf(topic, eventId)}`;
      const query = { forget };
      const erased = await connect(service).request('DELETE', path, { query, signal: terminal.signal });
      if (service.json) return terminal.line(JSON.stringify(erased));
      const { offset, received_at, was_kept, forgotten } = erased as Erased;
      const how = was_kept ? 'is erased' : 'was not kept any more';
      const id = forgotten ? 'its id is forgotten' : 'its id stays known';
      await terminal.line(`event ${offset}, committed at ${received_at}, ${how}; ${id}`);
    });
}
