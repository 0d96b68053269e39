import type { FieldError } from '@chronicleweaver/protocol';
import { type DefinitionField, type LeaseStates, SETTLED, UNKNOWN } from '../../store/group-store.ts';
import type { Delivered } from '../../groups/waiting-pulls.ts';
import type { GroupView } from '../../groups/groups.ts';
import { ProblemError } from '../request/problems.ts';
import type { DefinitionBody, GroupAnswer } from './schemas.ts';

export function viewJson(view: GroupView): GroupAnswer {
  const { start } = view.definition;
  return {
    name: view.definition.name,
    topics: [...view.definition.topics],
    start:
      typeof start === 'string'
        ? start
        : 'offset' in start
          ? start.offset
          : new Date(start.timeMs).toISOString(),
    lease_ms: view.definition.leaseMs,
    max_deliveries: view.definition.deliveriesMax,
    created_at: new Date(view.createdMs).toISOString(),
    cursor: view.cursor,
    lag: view.lag,
    in_flight: view.leased,
    returned: view.returned,
    dead: view.dead,
    deliveries: view.deliveries,
    redeliveries: view.redeliveries,
    acknowledged: view.acknowledged,
    expired: view.expired,
    ...pushJson(view),
  };
}

function pushJson({ definition, push }: GroupView): Pick<GroupAnswer, 'push'> {
  if (definition.push === null || push === null) return {};
  const { pausedBy, failingSinceMs, lastFailure } = push;
  const state = pausedBy !== null ? 'paused' : lastFailure === null ? 'active' : 'failing';
  return {
    push: {
      url: definition.push.url,
      secrets: definition.push.secrets.length,
      ...(definition.push.format !== undefined && { format: definition.push.format }),
      state,
      paused_by: pausedBy,
      failing_since: failingSinceMs === null ? null : new Date(failingSinceMs).toISOString(),
      last_failure: lastFailure,
    },
  };
}

export function deliveryMembers({ delivery, leaseId }: Delivered): string {
  return `"delivery":${delivery},"lease_id":"${leaseId}"`;
}

/** The number of leases that were done, or a problem that names the others. */
export function doneJson(states: LeaseStates, good: readonly number[]): { done: number } {
  const errors: FieldError[] = [];
  for (const [index, state] of states.entries()) {
    if (good.includes(state)) continue;
    const [code, message] =
      state === UNKNOWN
        ? (['lease_unknown', 'this group never gave it'] as const)
        : state === SETTLED
          ? (['lease_expired', 'its event is acknowledged, or has expired'] as const)
          : (['lease_expired', 'it ran out or was given back; its event will be delivered again'] as const);
    errors.push({ index, field: 'lease_ids', message, code });
  }
  const done = states.length - errors.length;
  if (errors.length === 0) return { done };
  const first = errors.find(({ code }) => code === 'lease_unknown') ?? errors[0]!;
  throw new ProblemError(
    first.code!,
    `${errors.length} of ${states.length} leases do not hold, the first of them number ${errors[0]!.index}: ` +
      `${errors[0]!.message}; the other ${done} were done`,
    errors,
    { done },
  );
}

const WIRE_NAMES: Readonly<Record<DefinitionField, keyof DefinitionBody>> = {
  topics: 'topics',
  start: 'start',
  leaseMs: 'lease_ms',
  deliveriesMax: 'max_deliveries',
  push: 'push',
};

export function differs(name: string, differing: DefinitionField): ProblemError {
  const field = WIRE_NAMES[differing];
  // A different url, format or different secrets do not count.
  const how = field === 'push' ? 'and a group cannot switch between push and pull' : `with another ${field}`;
  return new ProblemError(
    'subscription_differs',
    `${name} already exists ${how}; delete it first, or choose another name`,
    [{ index: null, field, message: 'differs from the existing group' }],
  );
}

export function beyondEnd(field: string, lastOffset: number): ProblemError {
  return new ProblemError(
    'cursor_beyond_end',
    `${field}: the log ends at offset ${lastOffset}, so this takes an offset up to ${lastOffset + 1}, or a time in the past`,
    [{ index: null, field, message: `is beyond the end of the log, which is at ${lastOffset}` }],
  );
}
