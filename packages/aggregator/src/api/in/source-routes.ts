import { LIMITS } from '@chronicleweaver/protocol';
import type { Logger } from 'pino';
import type { ByteBudget } from '../../queue/byte-budget.ts';
import type { Sources } from '../../sources/sources.ts';
import type { Api } from '../api.ts';
import { type AuditLog, auditLogOf, keyNameIn, whoIn } from '../request/audit.ts';
import type { BodyLimits } from '../request/body.ts';
import { takeJsonBodies } from '../request/json-body.ts';
import { ProblemError } from '../request/problems.ts';
import { problems } from '../schemas.ts';
import { noSuchSource, sourceJson } from './answers.ts';
import { sourceOf } from './requests.ts';
import { sourceAnswer, sourceBody, sourceParams, sourcesAnswer } from './schemas.ts';

interface Parts {
  readonly sources: Sources;
  readonly budget: ByteBudget;
  readonly body: BodyLimits;
  readonly log: Logger;
}

const TAGS = ['sources'];

/** `/sources`: who may send to an address of its own, in its own form. */
export async function sourceRoutes(api: Api, { sources, budget, body, log: whole }: Parts): Promise<void> {
  const log = auditLogOf(whole);
  takeJsonBodies(api, budget, body);
  putRoute(api, sources, log);
  listRoute(api, sources);
  getRoute(api, sources);
  deleteRoute(api, sources, log);
}

function putRoute(api: Api, sources: Sources, log: AuditLog): void {
  api.put(
    '/sources/:name',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'Define a source: who sends to `/in/{name}`, and what becomes of it',
        description:
          'Answers 201 if the source was created, and 200 if it was replaced or already is as sent. It is in force for every ' +
          'delivery that comes after the answer.',
        tags: TAGS,
        params: sourceParams,
        body: sourceBody,
        response: {
          200: sourceAnswer,
          201: sourceAnswer,
          ...problems(400, 408, 409, 413, 415, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const source = sourceOf(request.params.name, request.body);
      const outcome = await sources.put(source, keyNameIn(request));
      if (outcome === 'full') {
        throw new ProblemError(
          'sources_full',
          `there are ${LIMITS.sourcesMax}; delete one that sends no more`,
        );
      }
      const { name, ...definition } = sourceJson(source);
      if (outcome !== 'same') log.info({ ...whoIn(request), source: name, definition }, 'a source was set');
      reply.code(outcome === 'created' ? 201 : 200);
      return { name, ...definition };
    },
  );
}

function listRoute(api: Api, sources: Sources): void {
  api.get(
    '/sources',
    {
      config: { scope: 'admin' },
      schema: { summary: 'All sources', tags: TAGS, response: { 200: sourcesAnswer, ...problems(503) } },
    },
    async () => {
      const all = await sources.list();
      return { count: all.length, sources: all.map(sourceJson) };
    },
  );
}

function getRoute(api: Api, sources: Sources): void {
  api.get(
    '/sources/:name',
    {
      config: { scope: 'admin' },
      schema: {
        summary: "A source's definition, without its secrets",
        tags: TAGS,
        params: sourceParams,
        response: { 200: sourceAnswer, ...problems(404, 422, 503) },
      },
    },
    async (request) => {
      const { name } = request.params;
      const source = await sources.find(name);
      if (source === undefined) throw noSuchSource(name);
      return sourceJson(source);
    },
  );
}

function deleteRoute(api: Api, sources: Sources, log: AuditLog): void {
  api.delete(
    '/sources/:name',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'Delete a source: what it sends from then on is refused',
        tags: TAGS,
        params: sourceParams,
        response: { 204: { description: 'Deleted', type: 'null' }, ...problems(404, 422, 503) },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      if (!(await sources.remove(name, keyNameIn(request)))) throw noSuchSource(name);
      log.info({ ...whoIn(request), source: name }, 'a source was deleted');
      return reply.code(204).send(null);
    },
  );
}
