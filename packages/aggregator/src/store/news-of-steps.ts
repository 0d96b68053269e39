import type { GroupNews } from './group-news.ts';
import type { Created, FailedPush, OutcomesOf, Sought, Step, Taken } from './group-store.ts';

/** The news to tell about completed steps. */
export function newsOfSteps<S extends readonly Step[]>(steps: S, outcomes: OutcomesOf<S>): GroupNews[] {
  return steps.flatMap((step, i) => newsOfStep(step, outcomes[i] as unknown));
}

function newsOfStep(step: Step, outcome: unknown): GroupNews[] {
  // Null means that there is no such group, except that an untake has no other outcome.
  if (outcome === null && step[0] !== 'untake') return [];
  switch (step[0]) {
    case 'create':
      return newsOfCreation(step[1].push !== null, outcome as Created);
    case 'remove':
      return outcome === true ? [{ kind: 'removed', id: step[1] }] : [];
    case 'take': {
      const { hands, nextDueInMs } = outcome as Taken;
      const isAny = hands.some(({ offsets }) => offsets.length > 0);
      return isAny ? [moved(step[1], false, nextDueInMs)] : [];
    }
    case 'acknowledge':
    case 'expire':
      return [moved(step[1], true, null)];
    case 'giveBack':
      return [moved(step[1], true, step[3])];
    case 'extend':
      // The leases may now end sooner than before.
      return [moved(step[1], false, step[3])];
    case 'untake':
    case 'replay':
      return [moved(step[1], true, 0)];
    case 'seek': {
      const sought = outcome as Sought;
      return sought.kind === 'sought' ? [{ kind: 'sought', id: step[1], position: sought.position }] : [];
    }
    case 'pause':
      return [{ kind: 'push_changed', id: step[1] }];
    case 'resume':
      return newsOfResumption(step[1]);
    case 'failPush':
      return [moved(step[1], true, (outcome as FailedPush).dueInMs)];
    case 'claimPush':
    case 'releasePush':
    case 'notePush':
    case 'find':
    case 'state':
    case 'list':
    case 'outstanding':
    case 'returned':
    case 'dead':
      return [];
  }
}

function moved(id: number, hasRoom: boolean, dueInMs: number | null): GroupNews {
  return { kind: 'moved', id, hasRoom, dueInMs };
}

/** A webhook that was changed continues like one that was resumed. */
function newsOfResumption(id: number): GroupNews[] {
  return [{ kind: 'push_changed', id }, moved(id, true, 0)];
}

function newsOfCreation(isPushed: boolean, created: Created): GroupNews[] {
  if (created.kind === 'changed') return newsOfResumption(created.state.id);
  if (created.kind !== 'created') return [];
  const { id, definition } = created.state;
  return [{ kind: 'made', id, name: definition.name, isPushed }];
}
