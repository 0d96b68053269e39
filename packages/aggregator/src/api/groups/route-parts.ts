import { problems } from '../schemas.ts';

/** Shared by the routes of groups. */

export const JSON_TYPE = 'application/json; charset=utf-8';

export const TAGS = ['groups'];

/** The refusals of a request with a body about an existing group. */
export const REFUSALS = problems(400, 404, 408, 413, 415, 422, 503);

export const CONFLICTS = problems(409);
