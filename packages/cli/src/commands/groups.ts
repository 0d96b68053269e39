import { randomBytes } from 'node:crypto';
import { type ChronicleWeaver, ChronicleWeaverError, ProblemError } from '@chronicleweaver/client';
import {
  Command,
  type Kind,
  TEXT,
  argument,
  listOption,
  option,
  wholeNumber,
} from '@chronicleweaver/terminal';
import { printDone, printMembers } from '../answers.ts';
import { connect, serviceCommand } from '../service.ts';
import { type Terminal, harmless } from '../terminal.ts';
import { ackCommand, deadCommand, nackCommand, pullCommand, replayCommand, said } from './group-work.ts';

/** `chronicleweaver groups`: groups, and the work of their workers, by hand. */
export function groupsCommand(terminal: Terminal) {
  return new Command('groups')
    .summary('Create, show and delete groups, and manage their events')
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
    .addCommand(pauseCommand(terminal))
    .addCommand(resumeCommand(terminal))
    .addCommand(deadCommand(terminal))
    .addCommand(replayCommand(terminal));
}

function listCommand(terminal: Terminal) {
  return serviceCommand('list', 'List groups and their backlog', ['groups list']).action(async (service) => {
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
    await terminal.table(['GROUP', 'LAG', 'IN FLIGHT', 'DEAD', 'CURSOR', 'TOPICS'], rows);
  });
}

function showCommand(terminal: Terminal) {
  return serviceCommand('show', 'Show a group: its definition and its counts', ['groups show mailer'])
    .argument('<name>')
    .action(async (name, service) => {
      await printMembers(
        terminal,
        await connect(service).groups.get(name, { signal: terminal.signal }),
        service.json,
      );
    });
}

function createCommand(terminal: Terminal) {
  return serviceCommand('create', 'Create a group; repeating it with the same definition changes nothing', [
    'groups create mailer --topic orders --start earliest',
    "groups create audit --topic 'orders.>' --topic users --lease-ms 60000 --max-deliveries 10",
    'groups create billing --topic orders --push https://billing.example.com/hook',
  ])
    .argument('<name>')
    .addOption(
      listOption(
        '--topic <pattern>',
        'its topics: * matches a word between dots, > at the end all remaining words; may be repeated',
        TEXT,
      ).makeOptionMandatory(),
    )
    .addOption(option('--start <place>', 'where it begins; latest if left out', PLACE))
    .addOption(option('--lease-ms <ms>', 'how long a worker has for an event', wholeNumber(1)))
    .addOption(option('--max-deliveries <count>', 'deliveries after which an event is dead', wholeNumber(1)))
    .option(
      '--push <url>',
      'send the events there, as Standard Webhooks says, instead of letting workers pull them',
    )
    .addOption(
      listOption(
        '--push-secret <secret>',
        'signs each message; may be given up to three times; if left out, one is created and shown only now',
        TEXT,
      ),
    )
    .action(async (name, { topic, start, leaseMs, maxDeliveries, push, pushSecret, ...service }) => {
      const { groups } = connect(service);
      const { signal } = terminal;
      const isSecretMade = push !== undefined && pushSecret === undefined;
      // A secret created here must not replace those that a target knows.
      if (isSecretMade && (await exists(groups, name, signal))) {
        const text = `${name} already exists: give its secrets, or change them with \`groups webhook\``;
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
      await printMembers(terminal, group, service.json);
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
        'signs each message; may be given up to three times; needed with every change, also of the address: the service ' +
          'tells nobody those it has',
        TEXT,
      ).makeOptionMandatory(),
    )
    .option('--push <url>', 'where the events are sent; unchanged if left out')
    .addHelpText(
      'after',
      '\nThe waiting event is sent at once. The group keeps its place, and each event its id.',
    )
    .action(async (name, { secret: secrets, push: url, ...service }) => {
      const { groups } = connect(service);
      const { signal } = terminal;
      const { topics, start, lease_ms, max_deliveries, push } = await groups.get(name, { signal });
      if (push === undefined) {
        throw new ChronicleWeaverError('subscription_pulls', `the events of ${name} are pulled, not sent`);
      }
      const changed = { url: url ?? push.url, secrets, format: push.format };
      const definition = { topics, start, lease_ms, max_deliveries, push: changed };
      await printMembers(terminal, await groups.create(name, definition, { signal }), service.json);
    });
}

async function exists(
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
  return serviceCommand('delete', 'Delete a group and its progress', ['groups delete mailer'])
    .argument('<name>')
    .action(async (name, service) => {
      await connect(service).groups.delete(name, { signal: terminal.signal });
      await printDone(terminal, 'deleted', name, service.json);
    });
}

function seekCommand(terminal: Terminal) {
  return serviceCommand(
    'seek',
    'Continue from another place; events after it are delivered, whatever became of them before',
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

function pauseCommand(terminal: Terminal) {
  return serviceCommand('pause', 'Send no events of a group that pushes any more, until it is resumed', [
    'groups pause billing',
  ])
    .argument('<name>')
    .action(async (name, service) => {
      await connect(service).groups.pause(name, { signal: terminal.signal });
      await printDone(terminal, 'paused', name, service.json);
    });
}

function resumeCommand(terminal: Terminal) {
  return serviceCommand('resume', 'Resume a group that pushes, and send the waiting event at once', [
    'groups resume billing',
  ])
    .argument('<name>')
    .action(async (name, service) => {
      await connect(service).groups.resume(name, { signal: terminal.signal });
      await printDone(terminal, 'resumed', name, service.json);
    });
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
