import type { KnownGroup } from '../../groups/known-groups.ts';
import { problems } from '../schemas.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * The group that the address names, once the key was found to have a right to it. Whatever the request does, it does to
     * this group: by then its name may belong to another one.
     */
    group: KnownGroup;
  }
}

/** Shared by the routes of groups. */

export const JSON_TYPE = 'application/json; charset=utf-8';

export const TAGS = ['groups'];

/** The refusals of a request with a body about an existing group. */
export const REFUSALS = problems(400, 404, 408, 413, 415, 422, 503);

export const CONFLICTS = problems(409);
