import { problems } from '../schemas.ts';

/** What the routes of groups have in common. */

export const JSON_TYPE = 'application/json; charset=utf-8';

export const TAGS = ['groups'];

/** How a request with a body, about a group that should be there, may be refused. */
export const REFUSALS = problems(400, 404, 408, 413, 415, 422, 503);

export const CONFLICTS = problems(409);
