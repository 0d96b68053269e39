import { LIMITS } from '@chronicleweaver/protocol';
import type { Logger } from 'pino';
import type { AuditTrail } from '../../audit/audit-trail.ts';
import type { ByteBudget } from '../../queue/byte-budget.ts';
import type { Retention } from '../../retention/retention.ts';
import type { Api } from '../api.ts';
import type { BodyLimits } from '../request/body.ts';
import { takeJsonBodies } from '../request/json-body.ts';
import { ProblemError } from '../request/problems.ts';
import { problems } from '../schemas.ts';
import { noSuchPolicy, overlaps, policyJson, previewJson, stateJson } from './answers.ts';
import { type AuditLog, auditLogOf, keyNameIn, whoIn } from '../request/audit.ts';
import { erasureRoutes } from './erasure-routes.ts';
import { policyOf } from './requests.ts';
import {
  policiesAnswer,
  policyAnswer,
  policyBody,
  policyParams,
  policyStateAnswer,
  previewAnswer,
  putQuery,
} from './schemas.ts';

interface Parts {
  readonly retention: Retention;
  readonly budget: ByteBudget;
  readonly body: BodyLimits;
  readonly audit: AuditTrail;
  readonly log: Logger;
}

const TAGS = ['retention'];

/** `/retention`, the policies, what they would let go of, and how they are obeyed; and what is let go of by request. */
export async function retentionRoutes(
  api: Api,
  { retention, budget, body, audit, log: whole }: Parts,
): Promise<void> {
  const log = auditLogOf(whole);
  takeJsonBodies(api, budget, body);
  putRoute(api, retention, log);
  listRoute(api, retention);
  getRoute(api, retention);
  deleteRoute(api, retention, log);
  erasureRoutes(api, retention, audit, log);
}

function putRoute(api: Api, retention: Retention, log: AuditLog): void {
  api.put(
    '/retention/:name',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'Set how long the events of some topics are kept',
        description:
          'Answers 201 if the policy was created, and 200 if it was replaced or already is as sent. With `dry_run` ' +
          'nothing is stored, and the answer tells what would go now.',
        tags: TAGS,
        params: policyParams,
        querystring: putQuery,
        body: policyBody,
        response: {
          200: { anyOf: [policyAnswer, previewAnswer] },
          201: policyAnswer,
          ...problems(400, 408, 409, 413, 415, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const policy = policyOf(request.params.name, request.body);
      const isDry = request.query.dry_run === true;
      const outcome = isDry
        ? await retention.outcomeOf(policy)
        : await retention.put(policy, keyNameIn(request));
      if (outcome.kind === 'overlaps') throw overlaps(outcome);
      if (outcome.kind === 'full') {
        throw new ProblemError(
          'policies_full',
          `there are ${LIMITS.policiesMax}; remove one, or put its topics together`,
        );
      }
      if (isDry) return previewJson(await retention.preview(policy));
      if (outcome.kind !== 'same') {
        const { name, ...definition } = policyJson(policy);
        log.info({ ...whoIn(request), policy: name, definition }, 'a policy was set');
      }
      reply.code(outcome.kind === 'created' ? 201 : 200);
      return policyJson(policy);
    },
  );
}

function listRoute(api: Api, retention: Retention): void {
  api.get(
    '/retention',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'All policies',
        tags: TAGS,
        response: { 200: policiesAnswer, ...problems(503) },
      },
    },
    async () => {
      const policies = await retention.policies();
      return { count: policies.length, policies: policies.map(policyJson) };
    },
  );
}

function getRoute(api: Api, retention: Retention): void {
  api.get(
    '/retention/:name',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'A policy and how it is obeyed',
        tags: TAGS,
        params: policyParams,
        response: { 200: policyStateAnswer, ...problems(404, 422, 503) },
      },
    },
    async (request) => {
      const { name } = request.params;
      const policy = await retention.find(name);
      if (policy === undefined) throw noSuchPolicy(name);
      return stateJson(await retention.view(policy));
    },
  );
}

function deleteRoute(api: Api, retention: Retention, log: AuditLog): void {
  api.delete(
    '/retention/:name',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'Remove a policy',
        description: 'From then on everything on its topics is kept. What has expired stays so.',
        tags: TAGS,
        params: policyParams,
        response: { 204: { description: 'Removed', type: 'null' }, ...problems(404, 422, 503) },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      if (!(await retention.remove(name, keyNameIn(request)))) throw noSuchPolicy(name);
      log.info({ ...whoIn(request), policy: name }, 'a policy was removed');
      return reply.code(204).send(null);
    },
  );
}
