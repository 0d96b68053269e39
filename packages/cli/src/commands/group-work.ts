import { argument, option, wholeNumber } from '@chronicleweaver/terminal';
import { eventLine } from '../event-text.ts';
import { connect, serviceCommand, textOf } from '../service.ts';
import type { Terminal } from '../terminal.ts';

// The work of a group's workers, by hand.

export function pullCommand(terminal: Terminal) {
  return serviceCommand('pull', 'Lease events and print them, each with its lease', [
    'groups pull mailer --max 10 --wait 30',
    'groups pull mailer --ack --json',
  ])
    .argument('<name>')
    .addOption(option('--max <count>', 'at most this many events', wholeNumber(1)).default(1))
    .addOption(option('--wait <seconds>', 'how long to wait for the first', wholeNumber(0)).default(0))
    .option('--ack', 'acknowledge them after printing')
    .addHelpText('after', '\nAn event that is not acknowledged before its lease runs out is delivered again.')
    .action(async (name, { max, wait, ack, ...service }) => {
      const { signal } = terminal;
      const { groups } = connect(service);
      const events = await groups.pull(name, { max, waitMs: wait * 1000, signal });
      for (const event of events) {
        const { delivery, lease_id } = event;
        const { text } = textOf(event);
        const whole = `${text.slice(0, -1)},${JSON.stringify({ delivery, lease_id }).slice(1)}`;
        await terminal.line(
          service.json ? whole : `${lease_id} ${delivery} ${eventLine(terminal, { text })}`,
        );
      }
      if (ack && events.length > 0) {
        const leaseIds = events.map(({ lease_id }) => lease_id);
        await groups.ack(name, leaseIds, { signal });
      }
    });
}

export function ackCommand(terminal: Terminal) {
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

export function nackCommand(terminal: Terminal) {
  return serviceCommand('nack', 'Give leases back: their events are delivered again', [
    'groups nack mailer 12.1.l9Zc2pZ0q7cTzr1V --delay-ms 60000',
  ])
    .argument('<name>')
    .argument('<lease...>')
    .addOption(option('--delay-ms <ms>', 'the delay until then', wholeNumber(0)).default(0))
    .action(async (name, leaseIds, { delayMs, ...service }) => {
      await connect(service).groups.nack(name, leaseIds, { delayMs, signal: terminal.signal });
      await said(terminal, service.json, 'given_back', leaseIds.length);
    });
}

export function deadCommand(terminal: Terminal) {
  return serviceCommand('dead', 'Print the events that were delivered as often as allowed', [
    'groups dead mailer',
  ])
    .argument('<name>')
    .action(async (name, service) => {
      for await (const event of connect(service).groups.dead(name, { signal: terminal.signal })) {
        const text = JSON.stringify(event);
        const { offset, expired, deliveries, dead_at, reason } = event;
        const shown = expired ? `${offset} expired: its text is gone` : eventLine(terminal, { text });
        const line = `${shown} (${reason} at delivery ${deliveries}, ${dead_at})`;
        await terminal.line(service.json ? text : line);
      }
    });
}

export function replayCommand(terminal: Terminal) {
  return serviceCommand('replay', 'Deliver dead events again, all or the given ones', [
    'groups replay mailer',
    'groups replay mailer 17 4711',
  ])
    .argument('<name>')
    .argument('[offset...]', 'all if left out', (text: string, others: readonly number[] | undefined) => [
      ...(others ?? []),
      argument('[offset...]', wholeNumber(1))(text),
    ])
    .action(async (name, given, service) => {
      const offsets = given !== undefined && given.length > 0 ? given : undefined;
      const { groups } = connect(service);
      const { signal } = terminal;
      let { replayed, dead } = await groups.replay(name, offsets, { signal });
      if (offsets === undefined) {
        // The service replays a limited number at a time.
        for (let turn = replayed; turn > 0 && dead > 0; replayed += turn) {
          ({ replayed: turn, dead } = await groups.replay(name, undefined, { signal }));
        }
      }
      await terminal.line(
        service.json ? JSON.stringify({ replayed, dead }) : `${replayed} delivered again, ${dead} still dead`,
      );
    });
}

/** Prints how many leases or events something was done to. */
export async function said(
  terminal: Terminal,
  asJson: true | undefined,
  what: string,
  count: number,
): Promise<void> {
  await terminal.line(asJson ? JSON.stringify({ [what]: count }) : `${what.replace('_', ' ')}: ${count}`);
}
