import type { FastifyRequest } from 'fastify';
import type { Definition } from '../../store/group-store.ts';
import type { Groups } from '../../groups/groups.ts';
import { foreignPatterns } from '../request/access.ts';
import { ProblemError } from '../request/problems.ts';
import { problems } from '../schemas.ts';
import type { Api } from '../api.ts';
import { beyondEnd, differs, viewJson } from './answers.ts';
import { definitionOf } from './requests.ts';
import { TAGS } from './route-parts.ts';
import { definitionBody, groupAnswer, groupParams, groupsAnswer } from './schemas.ts';

/** Creates and deletes groups, and shows their definition and progress. */
export function definitionRoutes(api: Api, groups: Groups, webhookAllowPrivate: boolean): void {
  registerPut(api, groups, webhookAllowPrivate);
  registerList(api, groups);
  registerGet(api, groups);
  registerDelete(api, groups);
}

function registerPut(api: Api, groups: Groups, webhookAllowPrivate: boolean): void {
  api.put(
    '/subscriptions/:name',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Create a group, or change where its events are sent',
        description:
          'Answers 201 if the group was created, and 200 if it already exists with this definition. For a group with ' +
          '`push` a new url, new secrets or a new format take effect with the next attempt, which is made at once.',
        tags: TAGS,
        params: groupParams,
        body: definitionBody,
        response: {
          200: groupAnswer,
          201: groupAnswer,
          ...problems(400, 408, 409, 413, 415, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const definition = definitionOf(request.params.name, request.body, webhookAllowPrivate);
      refuseForeign(request, definition.topics);
      const created = await groups.put(definition);
      switch (created.kind) {
        case 'created':
        case 'same':
        case 'changed':
          reply.code(created.kind === 'created' ? 201 : 200);
          return viewJson(await groups.viewOf(created.state));
        case 'differs':
          throw differs(definition.name, created.field);
        case 'full':
          throw new ProblemError(
            'subscriptions_full',
            `there are ${created.groups}; delete one that is no longer needed`,
          );
        case 'beyond_end':
          throw beyondEnd('start', created.lastOffset);
      }
    },
  );
}

function registerList(api: Api, groups: Groups): void {
  api.get(
    '/subscriptions',
    {
      config: { scope: ['read', 'inspect'] },
      schema: {
        summary: 'All groups',
        tags: TAGS,
        response: { 200: groupsAnswer, ...problems(503) },
      },
    },
    async (request) => {
      const isMeant = ({ topics }: Definition): boolean => foreignPatterns(request, topics).length === 0;
      const views = await groups.list(isMeant);
      return { count: views.length, subscriptions: views.map(viewJson) };
    },
  );
}

function registerGet(api: Api, groups: Groups): void {
  api.get(
    '/subscriptions/:name',
    {
      config: { scope: ['read', 'inspect'] },
      schema: {
        summary: "A group's definition and progress",
        tags: TAGS,
        params: groupParams,
        response: { 200: groupAnswer, ...problems(404, 422, 503) },
      },
    },
    async (request) => viewJson(await groups.view(request.group)),
  );
}

function registerDelete(api: Api, groups: Groups): void {
  api.delete(
    '/subscriptions/:name',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Delete a group and its progress',
        tags: TAGS,
        params: groupParams,
        response: { 204: { description: 'Deleted', type: 'null' }, ...problems(404, 422, 503) },
      },
    },
    async (request, reply) => {
      await groups.remove(request.group);
      return reply.code(204).send(null);
    },
  );
}

function refuseForeign(request: FastifyRequest, topics: readonly string[]): void {
  const errors = foreignPatterns(request, topics).map((index) => ({
    index,
    field: 'topics',
    message: `the key ${request.principal.name} may not use all topics of ${JSON.stringify(topics[index])}`,
  }));
  if (errors.length > 0) {
    throw new ProblemError('forbidden_topic', errors.map(({ message }) => message).join('; '), errors);
  }
}
