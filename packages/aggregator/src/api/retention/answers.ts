import { formatDuration } from '@chronicleweaver/protocol';
import type { Plan, Policy, PolicyView } from '../../retention/retention.ts';
import { ProblemError } from '../request/problems.ts';
import type { PolicyAnswer, PolicyStateAnswer, PreviewAnswer } from './schemas.ts';

export function policyJson(policy: Policy): PolicyAnswer {
  return {
    name: policy.name,
    topics: [...policy.topics],
    keep: policy.keep,
    max_age: durationOr(null, policy.maxAgeMs),
    max_bytes: policy.maxBytes,
    max_events: policy.maxEvents,
    ids: durationOr('forever', policy.idsMs),
    past_groups: policy.pastGroups,
    held_max: durationOr(null, policy.heldMaxMs),
  };
}

export function stateJson(view: PolicyView): PolicyStateAnswer {
  const { policy, exceptions, kept, due, holds, lastRun } = view;
  return {
    ...policyJson(policy),
    exceptions: [...exceptions],
    kept: { events: kept.events, bytes: kept.bytes },
    expired: kept.expired,
    due: { events: due.events, bytes: due.bytes },
    held_by: holdsJson({ holds }),
    last_run: lastRun && {
      at: new Date(lastRun.atMs).toISOString(),
      events: lastRun.events,
      bytes: lastRun.bytes,
      ids: lastRun.ids,
    },
  };
}

export function previewJson({ going, holds }: Plan): PreviewAnswer {
  const { events, bytes, upTo, oldestKept } = going;
  return {
    events,
    bytes,
    up_to: upTo || null,
    oldest_kept: oldestKept && {
      offset: oldestKept.offset,
      received_at: new Date(oldestKept.receivedMs).toISOString(),
    },
    held_by: holdsJson({ holds }),
  };
}

function holdsJson({ holds }: Pick<Plan, 'holds'>): PreviewAnswer['held_by'] {
  return holds.map(({ group, sinceMs, events }) => ({
    group,
    since: new Date(sinceMs).toISOString(),
    events,
  }));
}

function durationOr<T extends string | null>(none: T, durationMs: number | null): string | T {
  return durationMs === null ? none : formatDuration(durationMs);
}

export function noSuchPolicy(name: string): ProblemError {
  return new ProblemError('policy_not_found', `there is no policy ${name}; PUT /retention/${name} makes one`);
}

export function overlaps({ name, pattern, other }: { name: string; pattern: string; other: string }) {
  const [own, its] = [pattern, other].map((one) => JSON.stringify(one));
  const message =
    pattern === other
      ? `${own} is a pattern of the policy ${name}, too`
      : `${own} overlaps ${its} of the policy ${name}, and neither lies within the other`;
  return new ProblemError(
    'policy_overlaps',
    `${message}: so it is not clear which of the two a topic obeys; change that policy, or choose other topics`,
    [{ index: null, field: 'topics', message }],
  );
}
