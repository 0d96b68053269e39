import { pathOf } from '@chronicleweaver/client';
import { Command, TEXT, listOption, oneOf, option, wholeNumber } from '@chronicleweaver/terminal';
import { printDone, printMembers } from '../answers.ts';
import { YES, confirm } from '../confirm.ts';
import { type ServiceOptions, connect, serviceCommand } from '../service.ts';
import { type Terminal, eventsText, harmless } from '../terminal.ts';

interface Policy {
  readonly name: string;
  readonly topics: readonly string[];
  readonly keep: string;
  readonly max_age: string | null;
  readonly max_bytes: number | null;
  readonly max_events: number | null;
  readonly ids: string;
}

interface Preview {
  readonly events: number;
  readonly bytes: number;
  readonly oldest_kept: { readonly offset: number; readonly received_at: string } | null;
  readonly held_by: readonly { readonly group: string; readonly since: string; readonly events: number }[];
}

/** `chronicleweaver retention`: how long events are kept. */
export function retentionCommand(terminal: Terminal) {
  return new Command('retention')
    .summary('Say how long events and their ids are kept')
    .description(
      'Policies say how long the events of some topics are kept; see `retention <command> --help`.',
    )
    .addCommand(listCommand(terminal))
    .addCommand(showCommand(terminal))
    .addCommand(setCommand(terminal))
    .addCommand(previewCommand(terminal))
    .addCommand(removeCommand(terminal));
}

function listCommand(terminal: Terminal) {
  return serviceCommand('list', 'List the policies', ['retention list']).action(async (service) => {
    const { policies } = (await ask(terminal, service, 'GET', '/retention')) as { policies: Policy[] };
    if (service.json) return terminal.line(JSON.stringify(policies));
    const rows = policies.map(({ name, keep, max_age, max_bytes, max_events, ids, topics }) => [
      name,
      keep,
      max_age ?? '-',
      max_bytes ?? '-',
      max_events ?? '-',
      ids,
      harmless(topics.join(' ')),
    ]);
    await terminal.table(['POLICY', 'KEEP', 'MAX AGE', 'MAX BYTES', 'MAX EVENTS', 'IDS', 'TOPICS'], rows);
  });
}

function showCommand(terminal: Terminal) {
  return serviceCommand('show', 'Show a policy, what it keeps, and who holds up what is due', [
    'retention show orders',
  ])
    .argument('<name>')
    .action(async (name, service) => {
      await printMembers(
        terminal,
        await ask(terminal, service, 'GET', `/retention${pathOf(name)}`),
        service.json,
      );
    });
}

/** A command whose options are those of a policy. */
function policyCommand(name: string, summary: string, examples: readonly string[]) {
  return serviceCommand(name, summary, examples)
    .argument('<name>')
    .addOption(
      listOption(
        '--topic <pattern>',
        'its topics: * matches a word between dots, > at the end all remaining words; may be repeated',
        TEXT,
      ).makeOptionMandatory(),
    )
    .addOption(option('--keep <what>', 'ids: never store the texts', oneOf(['events', 'ids'])))
    .addOption(option('--max-age <duration>', 'keep an event for so long, such as 90d, 12h or P30D', TEXT))
    .addOption(option('--max-bytes <size>', 'keep so much, such as 10GB or 512MiB', TEXT))
    .addOption(option('--max-events <count>', 'keep so many', wholeNumber(1)))
    .addOption(option('--ids <duration>', 'know ids for at least so long; forever if left out', TEXT))
    .option('--past-groups', 'let go of events that a group has not finished, too')
    .addOption(
      option('--held-max <duration>', 'the longest that a group may hold an event that is due', TEXT),
    );
}

type PolicyOptions = ServiceOptions & {
  readonly topic: readonly string[];
  readonly keep?: string | undefined;
  readonly maxAge?: string | undefined;
  readonly maxBytes?: string | undefined;
  readonly maxEvents?: number | undefined;
  readonly ids?: string | undefined;
  readonly pastGroups?: true | undefined;
  readonly heldMax?: string | undefined;
};

function setCommand(terminal: Terminal) {
  return policyCommand('set', 'Set a policy, new or in place of the one with its name', [
    "retention set orders --topic 'orders.>' --max-age 30d",
    "retention set logs --topic 'logs.>' --max-bytes 10GB --max-age 2w --ids 90d --yes",
    "retention set seen --topic 'seen.>' --keep ids",
  ])
    .option(...YES)
    .addHelpText('after', '\nIt asks before events go that are stored now.')
    .action(async (name, { yes, ...options }) => {
      const body = bodyOf(options);
      const path = `/retention${pathOf(name)}`;
      const { events, bytes } = (await ask(terminal, options, 'PUT', path, body, {
        dry_run: true,
      })) as Preview;
      if (events > 0) {
        await confirm(
          terminal,
          `${eventsText(events)} (${bytes} bytes) would go at once, for good. Set it?`,
          yes,
        );
      }
      await printMembers(terminal, await ask(terminal, options, 'PUT', path, body), options.json);
    });
}

function previewCommand(terminal: Terminal) {
  return policyCommand('preview', 'Tell what would go at once if a policy were set; nothing is changed', [
    "retention preview orders --topic 'orders.>' --max-age 30d",
  ]).action(async (name, options) => {
    const path = `/retention${pathOf(name)}`;
    const preview = await ask(terminal, options, 'PUT', path, bodyOf(options), { dry_run: true });
    if (options.json) return terminal.line(JSON.stringify(preview));
    const { events, bytes, oldest_kept: oldest, held_by } = preview as Preview;
    await terminal.line(`${eventsText(events)} (${bytes} bytes) would go`);
    await terminal.line(
      oldest === null
        ? 'none would stay'
        : `the oldest that stays is ${oldest.offset}, committed at ${oldest.received_at}`,
    );
    const held = held_by.map(
      (one) => `the group ${one.group} holds ${eventsText(one.events)}, since ${one.since}`,
    );
    await terminal.lines(held);
  });
}

function removeCommand(terminal: Terminal) {
  return serviceCommand(
    'remove',
    'Remove a policy: everything on its topics is kept, unless they obey a wider one',
    ['retention remove orders'],
  )
    .argument('<name>')
    .action(async (name, service) => {
      await ask(terminal, service, 'DELETE', `/retention${pathOf(name)}`);
      await printDone(terminal, 'removed', name, service.json);
    });
}

function bodyOf(options: PolicyOptions) {
  return {
    topics: options.topic,
    keep: options.keep,
    max_age: options.maxAge,
    max_bytes: options.maxBytes,
    max_events: options.maxEvents,
    ids: options.ids,
    past_groups: options.pastGroups,
    held_max: options.heldMax,
  };
}

function ask(
  terminal: Terminal,
  service: ServiceOptions,
  method: string,
  path: string,
  body?: object,
  query?: { dry_run: true },
): Promise<unknown> {
  const { signal } = terminal;
  return connect(service).request(method, path, { body, signal, ...(query && { query }) });
}
