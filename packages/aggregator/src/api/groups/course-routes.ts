import type { Groups } from '../../groups/groups.ts';
import type { Api } from '../api.ts';
import { beyondEnd, viewJson } from './answers.ts';
import { placeOf, timeOf } from './requests.ts';
import { CONFLICTS, REFUSALS, TAGS } from './route-parts.ts';
import { emptyBody, seekAnswer, seekBody, groupAnswer, groupParams } from './schemas.ts';

/** Where and when a group continues. */
export function courseRoutes(api: Api, groups: Groups): void {
  registerSeek(api, groups);
  registerPause(api, groups);
  registerResume(api, groups);
}

function registerSeek(api: Api, groups: Groups): void {
  api.post(
    '/subscriptions/:name/seek',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Continue from another place',
        description:
          'Ends all leases and delivers every event from the new place on, whatever became of it before.',
        tags: TAGS,
        params: groupParams,
        body: seekBody,
        response: { 200: seekAnswer, ...REFUSALS, ...CONFLICTS },
      },
    },
    async (request) => {
      const { offset, time } = request.body;
      const to = offset === undefined ? timeOf('time', time!) : placeOf('offset', offset);
      const sought = await groups.seek(request.group, to);
      if (sought.kind === 'beyond_end') {
        throw beyondEnd(offset === undefined ? 'time' : 'offset', sought.lastOffset);
      }
      return { cursor: sought.position };
    },
  );
}

function registerPause(api: Api, groups: Groups): void {
  api.post(
    '/subscriptions/:name/pause',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Pause a webhook',
        description:
          'Nothing is sent any more until it is resumed; its events wait. An attempt under way is not cut off, and counts.',
        tags: TAGS,
        params: groupParams,
        body: emptyBody,
        response: { 200: groupAnswer, ...REFUSALS, ...CONFLICTS },
      },
    },
    async (request) => {
      await groups.pause(request.group);
      return viewJson(await groups.view(request.group));
    },
  );
}

function registerResume(api: Api, groups: Groups): void {
  api.post(
    '/subscriptions/:name/resume',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Resume a webhook',
        description: 'Ends a pause, or the wait for the next attempt: the waiting event is sent at once.',
        tags: TAGS,
        params: groupParams,
        body: emptyBody,
        response: { 200: groupAnswer, ...REFUSALS, ...CONFLICTS },
      },
    },
    async (request) => {
      await groups.resume(request.group);
      return viewJson(await groups.view(request.group));
    },
  );
}
