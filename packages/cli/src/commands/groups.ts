import { randomBytes } from 'node:crypto';
import {
  type ChronicleWeaver,
  ChronicleWeaverError,
  type Group,
  ProblemError,
} from '@chronicleweaver/client';
import {
  Command,
  type Kind,
  TEXT,
  argument,
  listOption,
  option,
  wholeNumber,
} from '@chronicleweaver/terminal';
import { eventLine } from '../event-text.ts';
import { connect, serviceCommand } from '../service.ts';
import { type Terminal, columns, harmless } from '../terminal.ts';

/** `chronicleweaver groups`: groups and the work that is left to their workers, by hand. */
export function groupsCommand(terminal: Terminal) {
  return new Command('groups')
    .summary('Make, show and delete groups, and look after their events')
    .description(
      'Groups are durable subscriptions whose workers share the events; see `groups <command> --help`.',
    )
    .addCommand(listCommand(terminal))
    .addCommand(showCommand(terminal))
    .addCommand(createCommand(terminal))
    .addCommand(webhookCommand(terminal))
    .addCommand(deleteCommand(terminal))
    .addCommand(pullCommand(terminal))
    .addCommand(ackCommand(terminal))
    .addCommand(nackCommand(terminal))
    .addCommand(seekCommand(terminal))
    .addCommand(resumeCommand(terminal))
    .addCommand(deadCommand(terminal))
    .addCommand(replayCommand(terminal));
}

function listCommand(terminal: Terminal) {
  return serviceCommand('list', 'List groups with what is left to do', ['groups list']).action(
    async (service) => {
      const groups = await connect(service).groups.list({ signal: terminal.signal });
      if (service.json) return terminal.line(JSON.stringify(groups));
      const rows = groups.map(({ name, lag, in_flight, dead, cursor, topics }) => [
        name,
        lag,
        in_flight,
        dead,
        cursor,
        harmless(topics.join(' ')),
      ]);
      const [head, ...lines] = columns([['GROUP', 'LAG', 'IN FLIGHT', 'DEAD', 'CURSOR', 'TOPICS'], ...rows]);
      await terminal.line(terminal.style('bold', head!));
      await terminal.lines(lines);
    },
  );
}

function showCommand(terminal: Terminal) {
  return serviceCommand('show', 'Show a group: its definition and its books', ['groups show mailer'])
    .argument('<name>')
    .action(async (name, service) => {
      await print(
        terminal,
        await connect(service).groups.get(name, { signal: terminal.signal }),
        service.json,
      );
    });
}

function createCommand(terminal: Terminal) {
  return serviceCommand('create', 'Make a group; once more with the same definition changes nothing', [
    'groups create mailer --topic orders --start earliest',
    "groups create audit --topic 'orders.>' --topic users --lease-ms 60000 --max-deliveries 10",
    'groups create billing --topic orders --push https://billing.example.com/hook',
  ])
    .argument('<name>')
    .addOption(
      listOption(
        '--topic <pattern>',
        'its topics: * takes a word between dots, > at the end all that is left; may be given several times',
        TEXT,
      ).makeOptionMandatory(),
    )
    .addOption(option('--start <place>', 'where it begins; latest where left out', PLACE))
    .addOption(option('--lease-ms <ms>', 'how long a worker has for an event', wholeNumber(1)))
    .addOption(option('--max-deliveries <count>', 'deliveries after which an event is dead', wholeNumber(1)))
    .option('--push <url>', 'send the events there, as Standard Webhooks says, and let nobody pull them')
    .addOption(
      listOption(
        '--push-secret <secret>',
        'signs what is sent; may be given up to three times; where left out, one is made and shown this once',
        TEXT,
      ),
    )
    .action(async (name, { topic, start, leaseMs, maxDeliveries, push, pushSecret, ...service }) => {
      const { groups } = connect(service);
      const { signal } = terminal;
      const isSecretMade = push !== undefined && pushSecret === undefined;
      // A secret that is made here must not take the place of those that a target knows.
      if (isSecretMade && (await isThere(groups, name, signal))) {
        const text = `${name} is there already: give its secrets, or change them with \`groups webhook\``;
        throw new ChronicleWeaverError('subscription_differs', text);
      }
      const secrets = pushSecret ?? [`whsec_${randomBytes(32).toString('base64')}`];
      const definition = {
        topics: topic,
        start,
        lease_ms: leaseMs,
        max_deliveries: maxDeliveries,
        push: push === undefined ? undefined : { url: push, secrets },
      };
      const group = await groups.create(name, definition, { signal });
      if (isSecretMade) terminal.note(`secret: ${secrets[0]!}`);
      await print(terminal, group, service.json);
    });
}

function webhookCommand(terminal: Terminal) {
  return serviceCommand('webhook', "Change where a group's events are sent, and the secrets that sign them", [
    'groups webhook billing --secret "$NEW" --secret "$OLD"   # both sign; the target may know either',
    'groups webhook billing --secret "$NEW"',
    'groups webhook billing --secret "$NEW" --push https://billing.example.com/v2/hook',
  ])
    .argument('<name>')
    .addOption(
      listOption(
        '--secret <secret>',
        'signs what is sent; may be given up to three times',
        TEXT,
      ).makeOptionMandatory(),
    )
    .option('--push <url>', 'where the events are sent; as before where left out')
    .addHelpText(
      'after',
      '\nThe event that waits is sent at once. The group keeps its place, each event its id.',
    )
    .action(async (name, { secret: secrets, push: url, ...service }) => {
      const { groups } = connect(service);
      const { signal } = terminal;
      const { topics, start, lease_ms, max_deliveries, push } = await groups.get(name, { signal });
      if (push === undefined) {
        throw new ChronicleWeaverError('subscription_pulls', `the events of ${name} are pulled, not sent`);
      }
      const definition = { topics, start, lease_ms, max_deliveries, push: { url: url ?? push.url, secrets } };
      await print(terminal, await groups.create(name, definition, { signal }), service.json);
    });
}

async function isThere(
  groups: ChronicleWeaver['groups'],
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await groups.get(name, { signal });
    return true;
  } catch (error) {
    if (error instanceof ProblemError && error.code === 'subscription_not_found') return false;
    throw error;
  }
}

function deleteCommand(terminal: Terminal) {
  return serviceCommand('delete', 'Delete a group and what is known of its events', ['groups delete mailer'])
    .argument('<name>')
    .action(async (name, service) => {
      await connect(service).groups.delete(name, { signal: terminal.signal });
      await terminal.line(service.json ? JSON.stringify({ deleted: name }) : `${name} is deleted`);
    });
}

function pullCommand(terminal: Terminal) {
  return serviceCommand('pull', 'Lease events and print them, each with its lease', [
    'groups pull mailer --max 10 --wait 30',
    'groups pull mailer --ack --json',
  ])
    .argument('<name>')
    .addOption(option('--max <count>', 'events at most', wholeNumber(1)).default(1))
    .addOption(option('--wait <seconds>', 'how long to wait for the first', wholeNumber(0)).default(0))
    .option('--ack', 'acknowledge them after they were printed')
    .addHelpText('after', '\nAn event that is not acknowledged before its lease runs out is delivered again.')
    .action(async (name, { max, wait, ack, ...service }) => {
      const { signal } = terminal;
      const { groups } = connect(service);
      const events = await groups.pull(name, { max, waitMs: wait * 1000, signal });
      for (const event of events) {
        const text = JSON.stringify(event);
        const line = `${event.lease_id} ${event.delivery} ${eventLine(terminal, { text })}`;
        await terminal.line(service.json ? text : line);
      }
      if (ack && events.length > 0) {
        const leaseIds = events.map(({ lease_id }) => lease_id);
        await groups.ack(name, leaseIds, { signal });
      }
    });
}

function ackCommand(terminal: Terminal) {
  return serviceCommand('ack', 'Acknowledge leases: their events are never delivered again', [
    'groups ack mailer 12.1.l9Zc2pZ0q7cTzr1V',
  ])
    .argument('<name>')
    .argument('<lease...>')
    .action(async (name, leaseIds, service) => {
      await connect(service).groups.ack(name, leaseIds, { signal: terminal.signal });
      await said(terminal, service.json, 'acknowledged', leaseIds.length);
    });
}

function nackCommand(terminal: Terminal) {
  return serviceCommand('nack', 'Give leases back: their events are delivered again', [
    'groups nack mailer 12.1.l9Zc2pZ0q7cTzr1V --delay-ms 60000',
  ])
    .argument('<name>')
    .argument('<lease...>')
    .addOption(option('--delay-ms <ms>', 'after so long', wholeNumber(0)).default(0))
    .action(async (name, leaseIds, { delayMs, ...service }) => {
      await connect(service).groups.nack(name, leaseIds, { delayMs, signal: terminal.signal });
      await said(terminal, service.json, 'given_back', leaseIds.length);
    });
}

function seekCommand(terminal: Terminal) {
  return serviceCommand(
    'seek',
    'Go on from another place; what is behind it is delivered, whatever became of it',
    ['groups seek mailer earliest', 'groups seek mailer 4711', 'groups seek mailer 2025-10-28T10:00:00Z'],
  )
    .argument('<name>')
    .argument(
      '<place>',
      'an offset, earliest, latest, or a time: the first event committed then or later',
      argument('<place>', PLACE),
    )
    .action(async (name, place, service) => {
      const to = typeof place === 'string' && !isEnd(place) ? { time: place } : { offset: place };
      const cursor = await connect(service).groups.seek(name, to, { signal: terminal.signal });
      await said(terminal, service.json, 'cursor', cursor);
    });
}

function resumeCommand(terminal: Terminal) {
  return serviceCommand('resume', 'Let a group that is pushed go on, and send the event that waits at once', [
    'groups resume billing',
  ])
    .argument('<name>')
    .action(async (name, service) => {
      await connect(service).groups.resume(name, { signal: terminal.signal });
      await terminal.line(service.json ? JSON.stringify({ resumed: name }) : `${name} goes on`);
    });
}

function deadCommand(terminal: Terminal) {
  return serviceCommand('dead', 'Print the events that were delivered as often as they may be', [
    'groups dead mailer',
  ])
    .argument('<name>')
    .action(async (name, service) => {
      for await (const event of connect(service).groups.dead(name, { signal: terminal.signal })) {
        const text = JSON.stringify(event);
        const { deliveries, dead_at, reason } = event;
        const line = `${eventLine(terminal, { text })} (${reason} at delivery ${deliveries}, ${dead_at})`;
        await terminal.line(service.json ? text : line);
      }
    });
}

function replayCommand(terminal: Terminal) {
  return serviceCommand('replay', 'Deliver dead events again, these or all', [
    'groups replay mailer',
    'groups replay mailer 17 4711',
  ])
    .argument('<name>')
    .argument('[offset...]', 'all where left out', (text: string, others: readonly number[] | undefined) => [
      ...(others ?? []),
      argument('[offset...]', wholeNumber(1))(text),
    ])
    .action(async (name, offsets, service) => {
      const { groups } = connect(service);
      const { signal } = terminal;
      let { replayed, dead } = await groups.replay(name, offsets, { signal });
      if (offsets === undefined) {
        // The service takes so many in turns.
        for (let turn = replayed; turn > 0 && dead > 0; replayed += turn) {
          ({ replayed: turn, dead } = await groups.replay(name, undefined, { signal }));
        }
      }
      await terminal.line(
        service.json ? JSON.stringify({ replayed, dead }) : `${replayed} delivered again, ${dead} dead still`,
      );
    });
}

async function print(terminal: Terminal, group: Group, asJson: true | undefined): Promise<void> {
  if (asJson) return terminal.line(JSON.stringify(group));
  const rows = Object.entries(group).map(([name, value]): [string, string | number] => [
    name,
    typeof value === 'number' ? value : textOf(value),
  ]);
  await terminal.lines(columns(rows));
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(' ');
  return harmless(typeof value === 'string' ? value : JSON.stringify(value));
}

async function said(
  terminal: Terminal,
  asJson: true | undefined,
  what: string,
  count: number,
): Promise<void> {
  await terminal.line(asJson ? JSON.stringify({ [what]: count }) : `${what.replace('_', ' ')}: ${count}`);
}

function isEnd(text: string): text is 'earliest' | 'latest' {
  return text === 'earliest' || text === 'latest';
}

const PLACE: Kind<string | number> = {
  takes: 'an offset, earliest, latest or a time such as 2025-10-28T10:00:00Z',
  read(text) {
    if (/^\d{1,15}$/.test(text)) return Number(text);
    return isEnd(text) || /^\d{4}-\d\d-\d\d/.test(text) ? text : undefined;
  },
};
