import { GroupGone } from '../../groups/dispatcher.ts';
import type { Groups } from '../../groups/groups.ts';
import type { ByteBudget } from '../../queue/byte-budget.ts';
import type { Api } from '../api.ts';
import { foreignPatterns } from '../request/access.ts';
import type { BodyLimits } from '../request/body.ts';
import { takeJsonBodies } from '../request/json-body.ts';
import { ProblemError } from '../request/problems.ts';
import { courseRoutes } from './course-routes.ts';
import { deadLetterRoutes } from './dead-letter-routes.ts';
import { definitionRoutes } from './definition-routes.ts';
import { workerRoutes } from './worker-routes.ts';

/** The requests of workers. A group that pushes has none. */
const PULLED: ReadonlySet<string> = new Set(['pull', 'ack', 'nack', 'extend']);
/** Those about sending. A group that is pulled has none: its workers pause by not pulling. */
const PUSHED: ReadonlySet<string> = new Set(['pause', 'resume']);

interface Parts {
  readonly groups: Groups;
  readonly budget: ByteBudget;
  readonly body: BodyLimits;
  /** Whether webhooks may be sent to addresses that are not public. */
  readonly webhookAllowPrivate: boolean;
}

/** `/subscriptions`: durable groups, whose workers pull events under leases and acknowledge them. */
export async function groupRoutes(api: Api, parts: Parts): Promise<void> {
  const { groups, budget, body, webhookAllowPrivate } = parts;
  takeJsonBodies(api, budget, body);

  api.decorateRequest('group');

  // A group with topics outside a key's own does not exist for that key.
  api.addHook<{ Params: { name?: string } }>('preHandler', async (request) => {
    const { name } = request.params;
    if (name === undefined || request.method === 'PUT') return;
    const group = await groups.find(name);
    if (group === undefined || foreignPatterns(request, group.topics).length > 0) {
      throw new GroupGone('there is no such group');
    }
    const resource = request.routeOptions.url?.split('/').at(-1) ?? '';
    const isPushed = group.pusher !== null;
    if (isPushed && PULLED.has(resource)) {
      throw new ProblemError('subscription_pushes', `the events of ${name} are sent to its webhook`);
    }
    if (!isPushed && PUSHED.has(resource)) {
      throw new ProblemError('subscription_pulls', `${name} sends nothing: its workers pull`);
    }
    request.group = group;
  });

  definitionRoutes(api, groups, webhookAllowPrivate);
  workerRoutes(api, groups);
  deadLetterRoutes(api, groups);
  courseRoutes(api, groups);
}
